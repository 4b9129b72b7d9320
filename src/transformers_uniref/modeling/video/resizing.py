"""Masks of a frame between the video's size and the network's."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def nearest(mask: Tensor, size: tuple[int, int], exact: bool = False) -> Tensor:
    """(H, W) bool resized; `exact` reads the pixel under the centre, as masks of the training data are resized."""
    mode = "nearest-exact" if exact else "nearest"
    return F.interpolate(mask[None, None].float(), size=size, mode=mode)[0, 0]


def bilinear(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, h, w) resized."""
    if tuple(masks.shape[-2:]) == size:
        return masks
    return F.interpolate(masks[None], size=size, mode="bilinear", align_corners=False)[0]
