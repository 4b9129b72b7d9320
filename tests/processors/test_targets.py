"""Masks become labels."""

from __future__ import annotations

import numpy as np
import torch

from processor_support import (
    disc,
    picture,
    small_processor,
)
from transformers_uniref.core.masks import nearest_resize


def test_labels_are_made_of_the_resized_masks():
    mask = np.zeros((80, 120), dtype=np.uint8)
    mask[20:40, 30:90] = 1
    made = small_processor()(images=picture(), text="the dog", segmentation_maps=mask)
    (label,) = made.labels
    resized = nearest_resize(mask, (60, 90))
    rows, columns = np.nonzero(resized)
    x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    expected = torch.tensor([[(x0 + x1) / 2 / 90, (y0 + y1) / 2 / 60, (x1 - x0) / 90, (y1 - y0) / 60]])
    assert torch.allclose(label["boxes"], expected.float(), atol=1e-6)
    assert label["masks"].shape == (1, *made.pixel_values.shape[-2:])
    assert torch.equal(label["masks"][0, :60, :90], torch.from_numpy(resized > 0))
    assert not label["masks"][0, 60:].any()
    assert label["class_labels"].tolist() == [0]


def test_a_label_map_is_several_objects_and_an_empty_map_is_none():
    two = disc() + 2 * (np.indices((80, 120))[1] > 100).astype(np.uint8)
    made = small_processor()(
        images=[picture()] * 3, text=["a", "the", "dog"], segmentation_maps=[two, np.zeros_like(two), []]
    )
    assert [len(label["boxes"]) for label in made.labels] == [2, 0, 0]
    assert made.labels[1]["masks"].shape == (0, *made.pixel_values.shape[-2:])


def test_a_stack_or_a_list_of_masks_is_several_objects():
    masks = [disc() > 0, disc()[::-1] > 0]
    processor = small_processor()
    as_list = processor(images=picture(), segmentation_maps=masks).labels[0]
    as_stack = processor(images=picture(), segmentation_maps=np.stack(masks)).labels[0]
    assert torch.equal(as_list["boxes"], as_stack["boxes"])
    assert len(as_list["boxes"]) == 2
