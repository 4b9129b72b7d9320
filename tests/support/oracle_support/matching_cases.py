"""Synthetic predictions and targets with several queries a target, conflicts and many targets: matches and losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .comparison import LOSSES, Report
from .image_cases import Arrays


def scenario(arrays: Arrays, name: str) -> Arrays:
    """The arrays of one scenario, without its name."""
    return {key.removeprefix(f"{name}/"): value for key, value in arrays.items() if key.startswith(f"{name}/")}


def run_scenario(arrays: Arrays, expected: dict[str, Any], report: Report) -> None:
    """Given logits and boxes stand for one decoder layer, once with each way of matching.

    The scenario's one-to-one matching knows the classes, which the model hides from its proposals, so it is that of a
    decoder layer with `matching="hungarian"`; its losses are stored under the names of the proposals' losses.
    """
    from transformers_uniref import UniRefConfig
    from transformers_uniref.modeling.losses.criterion import DecoderPredictions, UniRefCriterion

    logits, boxes = torch.from_numpy(arrays["logits"])[None], torch.from_numpy(arrays["boxes"])[None]
    shape = arrays["gt_masks_shape"]
    masks = np.unpackbits(arrays["gt_masks"])[: int(np.prod(shape))].reshape(shape).astype(bool)
    labels = [
        {
            "boxes": torch.from_numpy(arrays["gt"]),
            "masks": torch.from_numpy(masks),
            "class_labels": torch.from_numpy(arrays["labels"]),
        }
    ]
    row_of_query = {int(query): row for row, query in enumerate(arrays["ota_query"])}

    def decode_masks(layer: int, entries: Tensor, queries: Tensor) -> Tensor:
        rows = [row_of_query.get(int(query), 0) for query in queries]  # a wrong query is reported by the matches
        return torch.from_numpy(arrays["mask_logits"])[0, rows]

    predictions = DecoderPredictions(
        logits=[logits], boxes=[boxes], encoder_logits=logits, encoder_boxes=boxes, decode_masks=decode_masks
    )
    for kind, stored in (("ota", "losses"), ("hungarian", "hungarian_losses")):
        config = UniRefConfig(num_labels=logits.shape[-1], auxiliary_mask_losses=True, matching=kind)
        criterion = UniRefCriterion(config)
        queries, targets = criterion.match(predictions, labels)[0][0].of_entry(0)
        report.equal(f"{kind} queries", queries, arrays[f"{kind}_query"])
        report.equal(f"{kind} targets", targets, arrays[f"{kind}_target"])
        _, losses = criterion(predictions, labels)
        for name, value in expected[stored].items():
            report.relative("losses", f"{kind} {name}", float(losses[name.removesuffix("_enc")]), value, LOSSES)


def run_boxinst_targets(arrays: Arrays, inputs: Arrays, report: Report) -> None:
    """Colour similarity, box masks and boxes that the BoxInst loss derives from the images of the detection batch."""
    from transformers_uniref.modeling.losses import boxinst

    count = len({key.split("/")[0] for key in arrays})
    images = [torch.from_numpy(inputs[f"det/image{i}"]) for i in range(count)]
    sizes = torch.tensor([image.shape[-2:] for image in images])
    height, width = (int(-(-side // 32) * 32) for side in sizes.amax(0))
    batch = torch.zeros(count, 3, height, width)
    for image, place in zip(images, batch, strict=True):
        place[:, : image.shape[1], : image.shape[2]] = image
    originals = torch.tensor([int(inputs[f"det/original_hw{i}"][0]) for i in range(count)])
    similarity = boxinst.color_similarity(batch, sizes, originals)
    for i in range(count):
        expected = arrays[f"image{i}/color_similarity_instance0"].astype(np.float32)
        # stored in half precision
        report.close("similarity", f"similarity of image {i}", similarity[i].reshape(expected.shape), expected, 1e-3)
        boxes = torch.from_numpy(arrays[f"image{i}/boxes"])
        sums = boxinst.box_masks(boxes, sizes[i].expand(len(boxes), -1), (height, width)).flatten(1).sum(1)
        report.equal(f"box mask pixels of image {i}", sums, arrays[f"image{i}/mask_sums"])
