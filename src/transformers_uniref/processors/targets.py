"""Training targets out of annotated masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..core.errors import KindError, UsageError
from ..core.mask_boxes import box_of
from ..core.mask_reading import is_mask, read_mask
from ..core.masks import binary_mask, nearest_resize, several_masks


def instance_masks(given: Any, size: tuple[int, int], name: str) -> np.ndarray:
    """The objects of one picture as bool (t, H, W).

    Args:
        given: a label map (H, W) whose values above 0 are objects, or a list / array (n, H, W) of binary masks.
            Masks without a pixel count as absent objects and are left out; t may be 0.
        size: the picture's (height, width).
        name: the argument's name, for messages.

    Raises:
        TypeError, ValueError: neither of these; see `masks.binary_mask`.
    """
    several = several_masks(given)
    if several is not None:
        masks = [binary_mask(mask, size, name, allow_empty=True) for mask in several]
    elif is_mask(given) or isinstance(given, (np.ndarray, torch.Tensor)):
        read = read_mask(given, name)
        if read.values.shape != tuple(size):
            raise UsageError(
                f"`{name}` must have its picture's size, (height, width) = {size}, got {read.values.shape}."
            )
        masks = list(read.objects().values())
    else:
        raise KindError(f"`{name}` must be a label map or a list of masks for each result, got {given!r}.")
    masks = [mask for mask in masks if mask.any()]
    return np.stack(masks) if masks else np.zeros((0, *size), dtype=bool)


def relative_boxes(masks: np.ndarray) -> np.ndarray:
    """Boxes of non-empty masks: (t, H, W) -> float32 (t, 4), cx, cy, width, height as shares of W and H."""
    corners = np.array([box_of(mask) for mask in masks], dtype=np.float32).reshape(-1, 4)
    low, high = corners[:, :2], corners[:, 2:]
    height, width = masks.shape[-2:]
    return np.concatenate([(low + high) / 2, high - low], axis=1) / np.array([width, height] * 2, dtype=np.float32)


def pad_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Zero-pad masks (..., h, w) at the right and at the bottom to `size`, as pictures are."""
    padded = np.zeros((*masks.shape[:-2], *size), masks.dtype)  # many times faster than `np.pad`
    padded[..., : masks.shape[-2], : masks.shape[-1]] = masks
    return padded


def make_label(masks: np.ndarray, valid_size: tuple[int, int], padded_size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """The model's target for one entry.

    The boxes are those of the *resized* masks; an object that vanishes in resizing is left out.

    Args:
        masks: bool (t, H, W) at the picture's own size.
        valid_size: (height, width) of the picture in the network.
        padded_size: the same with the padding.

    Returns:
        `boxes` (t, 4) cxcywh relative to `valid_size`; `masks` bool (t, *padded_size); `class_labels` (t,) zeros.
    """
    resized = nearest_resize(masks, valid_size)
    resized = resized[resized.any(axis=(1, 2))]
    return {
        "boxes": torch.from_numpy(relative_boxes(resized)),
        "masks": torch.from_numpy(pad_masks(resized, padded_size)),
        "class_labels": torch.zeros(len(resized), dtype=torch.int64),
    }
