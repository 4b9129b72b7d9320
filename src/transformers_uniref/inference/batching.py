"""Pictures with their references, prepared one by one, in batches, and the outputs apart again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

OUTPUTS = ("logits", "pred_boxes", "pred_masks", "mask_queries", "image_sizes", "padded_sizes")

Inputs = Mapping[str, Tensor]
"""What the processor makes of one picture and its n references: `pixel_values` (1, 3, H, W), `input_ids` (n, L), ..."""


def group_inputs(items: Sequence[Inputs]) -> list[list[int]]:
    """Which items make a batch without any padding, by their positions.

    The released normalisation layers see the padding, so that a picture's result would depend on its neighbours'
    sizes; pictures of one padded size do not disturb each other.
    """
    groups: dict[Any, list[int]] = {}
    for position, item in enumerate(items):
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in item.items() if name != "image_indices"}
        groups.setdefault(tuple(sorted(shapes.items())), []).append(position)
    return list(groups.values())


def count_entries(inputs: Inputs) -> int:
    """How many results there will be: one for each sentence, or one for a group of examples."""
    return len(inputs["input_ids"] if "input_ids" in inputs else inputs["reference_masks"])


def merge_inputs(items: Sequence[Inputs]) -> dict[str, Tensor]:
    """One batch of the items of a group."""
    merged = {name: torch.cat([item[name] for item in items]) for name in items[0] if name != "image_indices"}
    counts = torch.tensor([count_entries(item) for item in items])
    if (counts != 1).any():
        indices = torch.arange(len(items)).repeat_interleave(counts)
        merged["image_indices"] = indices.to(merged["pixel_values"].device)
    return merged


def split_outputs(outputs: Any, items: Sequence[Inputs]) -> list[dict[str, Tensor]]:
    """The outputs of each item of a batch: what post-processing reads, as far as the model gives it."""
    counts = [count_entries(item) for item in items]
    names = [name for name in OUTPUTS if name in outputs]
    parts = [outputs[name].split(counts) for name in names]
    return [dict(zip(names, values, strict=True)) for values in zip(*parts, strict=True)]
