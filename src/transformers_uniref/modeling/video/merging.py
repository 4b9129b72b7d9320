"""Whose a pixel is, out of the soft masks of a frame's objects."""

from __future__ import annotations

import torch
from torch import Tensor

# Above one half, whatever the rounding: resizing saturated masks makes many pixels that are one half exactly.
_HALF = 0.5 + 1e-6


def merge_masks(probabilities: Tensor) -> Tensor:
    """Soft aggregation: the background has prod_i(1 - p_i), an object p_i; the largest wins, the first among equals.

    Nothing is normalised and nothing is compared with 0.5, though for one object it comes to that.

    Args:
        probabilities: (n, H, W).

    Returns:
        disjoint bool masks (n, H, W).
    """
    best = probabilities.new_ones(probabilities.shape[1:])
    for layer in probabilities:
        best = best * (1 - layer)
    owner = torch.full_like(best, -1, dtype=torch.long)
    for row, layer in enumerate(probabilities):
        owner.masked_fill_(layer > best, row)
        best = torch.maximum(best, layer)
    return owner == torch.arange(len(probabilities), device=owner.device)[:, None, None]


def likely_masks(probabilities: Tensor) -> Tensor:
    """What is likelier an object's than not, bool of the same shape: each object by itself, two may share a pixel."""
    return probabilities > _HALF
