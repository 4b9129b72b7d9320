"""Samples become batches: shared pictures, boxes of visible targets, one kind of references."""

from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate")

from transformers_uniref.processors.targets import make_label, relative_boxes  # noqa: E402
from transformers_uniref.training.data.collation import Collator  # noqa: E402
from transformers_uniref.training.data.samples import Entry, Sample  # noqa: E402
from transformers_uniref.training.model.tokenizer import build_tokenizer  # noqa: E402


def entry(task="ris", size=(40, 64), box=(8, 24, 16, 48), **references):
    target = np.zeros(size, dtype=bool)
    if box is not None:
        target[box[0] : box[1], box[2] : box[3]] = True
    return Entry(task, target, np.zeros((0, *size), dtype=bool), **references)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(["red", "star", "the"], text_length=8)


def test_entries_share_images_and_absent_targets_have_no_boxes(tokenizer):
    image = np.full((40, 64, 3), 255, dtype=np.uint8)
    samples = [
        Sample(image, [entry(sentence="the red star"), entry(box=None, sentence="red")]),
        Sample(image[:32, :32], [entry(size=(32, 32), sentence="star", box=(0, 8, 0, 8))]),
    ]
    batch = Collator(tokenizer, 8)(samples)
    inputs = batch.inputs
    assert inputs["pixel_values"].shape == (2, 3, 64, 64) and inputs["image_indices"].tolist() == [0, 0, 1]
    assert inputs["pixel_mask"].sum((1, 2)).tolist() == [40 * 64, 32 * 32]
    assert inputs["pixel_values"][0, :, 40:].abs().max() == 0
    assert inputs["input_ids"].shape == (3, 8)
    assert [len(label["boxes"]) for label in inputs["labels"]] == [1, 0, 1]
    # Boxes are relative to the unpadded picture.
    assert inputs["labels"][0]["boxes"][0].tolist() == pytest.approx([0.5, 0.4, 0.5, 0.4])
    assert inputs["labels"][0]["masks"].shape == (1, 64, 64) and inputs["labels"][1]["masks"].shape == (0, 64, 64)
    assert batch.targets[1].sum() == 0


def test_labels_are_those_that_the_processor_makes_of_the_same_masks(tokenizer):
    sizes = [(40, 64), (32, 32)]
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            np.zeros((*size, 3), dtype=np.uint8), [entry(size=size, sentence="red"), entry(size=size, sentence="star")]
        )
        for size in sizes
    ]
    for sample in samples:
        sample.entries[0].target = rng.random(sample.image.shape[:2]) > 0.9
        sample.entries[1].target = np.zeros(sample.image.shape[:2], dtype=bool)
    labels = Collator(tokenizer, 8)(samples).inputs["labels"]
    expected = [make_label(e.target[None], e.target.shape, (64, 64)) for sample in samples for e in sample.entries]
    for own, other in zip(labels, expected, strict=True):
        assert own.keys() == other.keys()
        assert all(own[name].dtype == other[name].dtype and torch.equal(own[name], other[name]) for name in own)
    # A loader process sends every storage by itself.
    assert len({label["masks"].untyped_storage().data_ptr() for label in labels}) == 1


def test_references_are_stacked_per_entry(tokenizer):
    image = np.zeros((40, 64, 3), dtype=np.uint8)
    references = {"reference_images": np.stack([image] * 2), "reference_masks": np.ones((2, 40, 64), dtype=bool)}
    batch = Collator(tokenizer, 8)([Sample(image, [entry("fss", **references), entry("fss", **references)])])
    assert batch.inputs["reference_pixel_values"].shape == (2, 2, 3, 64, 64)
    assert batch.inputs["reference_masks"].shape == (2, 2, 64, 64)
    assert batch.inputs["reference_masks"][0, 0].sum() == 40 * 64
    assert "input_ids" not in batch.inputs


def test_different_kinds_of_references_do_not_mix(tokenizer):
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    references = {"reference_images": image[None], "reference_masks": np.ones((1, 32, 32), dtype=bool)}
    samples = [Sample(image, [entry(size=(32, 32), sentence="red"), entry(size=(32, 32), **references)])]
    with pytest.raises(ValueError, match="same kind"):
        Collator(tokenizer, 8)(samples)


def test_the_box_of_a_mask_counts_whole_pixels():
    mask = np.zeros((10, 20), dtype=bool)
    mask[2:4, 5:10] = True
    assert relative_boxes(mask[None])[0] == pytest.approx([7.5 / 20, 3 / 10, 5 / 20, 2 / 10])
