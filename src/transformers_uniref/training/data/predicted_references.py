"""References as they are in a propagation: the masks that the model itself gives to the frames on the way."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..validation.propagation import upsample
from .collation import Batch

CLIP_TASKS = {"vos", "rvos"}
LEAST_PROBABILITY, MOST_PROBABILITY = 0.2, 0.5
"""From which probability on a pixel belongs to such a mask is drawn from this range, as sessions differ in it."""


@torch.no_grad()
def with_predicted_references(
    model: Any, batch: Batch, share: float, autocast: Callable[[], AbstractContextManager]
) -> Batch:
    """`batch` with the model's own masks in later references of clips, in the place of the true ones.

    Each is found as a session would find it in the second frame that it sees: from the first reference alone, without
    a sentence. A mask without a pixel leaves what is there. The draws use torch's generator.

    Args:
        model: a `UniRefModel`, in any mode.
        batch: on the model's device; one that is not of clips with two or more references is returned as it is.
        share: probability of it, for every entry.
        autocast: the precision of the model's pass.
    """
    masks = batch.inputs.get("reference_masks")
    if not share or masks is None or masks.shape[1] < 2 or not set(batch.tasks) <= CLIP_TASKS:
        return batch
    taken = torch.rand(masks.shape[:1], device=masks.device) < share
    masks = masks.clone()
    training = model.training
    model.eval()
    try:
        for position in range(1, masks.shape[1]):
            with autocast():
                own = _found(model, batch.inputs, position)
            chosen = taken[:, None, None] & own.flatten(1).any(1)[:, None, None]
            masks[:, position] = torch.where(chosen, own.to(masks), masks[:, position])
    finally:
        model.train(training)
    return replace(batch, inputs=batch.inputs | {"reference_masks": masks})


def _found(model: Any, inputs: dict[str, Any], position: int) -> Tensor:
    """(N, H, W) bool: the model's masks in the reference frame `position`, from reference 0."""
    # The entries of an image belong to one clip and have the same frames: each frame is encoded once.
    indices = inputs["image_indices"]
    firsts = torch.stack([(indices == image).nonzero()[0, 0] for image in range(len(inputs["pixel_values"]))])
    output = model(
        pixel_values=inputs["reference_pixel_values"][firsts, position],
        pixel_mask=inputs["reference_pixel_mask"][firsts, position],
        image_indices=indices,
        **{name: inputs[name][:, :1] for name in ("reference_pixel_values", "reference_pixel_mask", "reference_masks")},
    )
    logits = upsample(output.pred_masks[:, 0].float(), inputs["reference_masks"].shape[-2:])
    least = torch.empty(len(logits), 1, 1, device=logits.device).uniform_(LEAST_PROBABILITY, MOST_PROBABILITY)
    return (logits.sigmoid() > least) & inputs["reference_pixel_mask"][:, position].bool()
