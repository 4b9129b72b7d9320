"""A user's masks as one bool array for each object, at the size of their pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .errors import KindError, UsageError
from .mask_reading import is_mask, read_mask


def binary_mask(mask: Any, size: tuple[int, int] | None, name: str, *, allow_empty: bool = False) -> np.ndarray:
    """One object's mask as bool (H, W).

    Args:
        mask: what `read_mask` reads, with one object in it.
        size: the (height, width) that it must have; None accepts any.
        name: the argument's name, for messages.
        allow_empty: accept a mask without a pixel of the object.

    Raises:
        TypeError: see `read_mask`.
        ValueError: see `read_mask`; other size, several objects, no pixel of the object, or no other pixel.
    """
    given = read_mask(mask, name)
    if size is not None and given.values.shape != tuple(size):
        raise UsageError(
            f"`{name}` must have its picture's size, (height, width) = {tuple(size)}, got {given.values.shape}."
        )
    ids = given.ids()
    if len(ids) > 1:
        present = np.unique(given.values)
        shown = ", ".join(str(value) for value in present[:6]) + (", ..." if len(present) > 6 else "")
        raise UsageError(
            f"`{name}` must hold 0 and one other value, got {shown}. "
            "Choose one object of a label map with `mask == id`."
        )
    if not ids and not allow_empty:
        raise UsageError(f"`{name}` has a mask without a single pixel of the object.")
    return np.asarray(given.values == ids[0]) if ids else np.zeros(given.values.shape, dtype=bool)


def fit_mask(mask: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    """A mask that misses its frame's size by a hair (at most 2 pixels or 1 % a side) is resized; more is refused.

    Annotations are often drawn on a video whose width was rounded differently.

    Args:
        mask: (H, W), any type; resized by nearest neighbour.
        size: the frame's (height, width).

    Raises:
        ValueError: the sizes differ by more.

    Warns:
        UserWarning: the mask was resized.
    """
    size = (int(size[0]), int(size[1]))
    if mask.shape == size:
        return mask
    if any(abs(have - want) > max(2, want // 100) for have, want in zip(mask.shape, size, strict=True)):
        raise UsageError(f"`{name}` must have the frame's size, (height, width) = {size}, got {mask.shape}.")
    warnings.warn(f"`{name}` of size {mask.shape} was resized to the frame's size {size}.", stacklevel=3)
    return nearest_resize(mask, size)


def nearest_resize(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Nearest-neighbour resizing of the last two axes, each output pixel reading the input under its centre.

    This is the rule of PIL's NEAREST; written out so that both image backends agree to the pixel.
    """
    height, width = mask.shape[-2:]
    if (height, width) == tuple(size):
        return mask
    rows, columns = _nearest_positions(height, size[0]), _nearest_positions(width, size[1])
    return mask[..., rows[:, None], columns[None, :]]


def _nearest_positions(old: int, new: int) -> np.ndarray:
    # Added up step by step as PIL does: where a centre falls on the border of two pixels, its rounding decides.
    steps = np.full(new, old / new)
    steps[0] /= 2
    return np.minimum(np.add.accumulate(steps).astype(np.int64), old - 1)


def object_ids(obj_ids: Any) -> list[int]:
    """One id or several as a list of distinct integers from 1 (0 is the background).

    Raises:
        TypeError: not integers.
        ValueError: none, smaller than 1, or repeated.
    """
    given = [obj_ids] if isinstance(obj_ids, (int, np.integer)) else obj_ids
    if isinstance(given, (np.ndarray, torch.Tensor)):
        given = given.tolist()
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise KindError(f"`obj_ids` must be an integer or a list of integers, got {type(obj_ids).__name__}.")
    for obj_id in given:
        if not isinstance(obj_id, (int, np.integer)) or isinstance(obj_id, bool):
            raise KindError(f"`obj_ids` must be integers, got {obj_id!r}.")
        if obj_id < 1:
            raise UsageError(f"`obj_ids` must be 1 or more (0 is the background), got {obj_id}.")
    ids = [int(obj_id) for obj_id in given]
    if not ids:
        raise UsageError("`obj_ids` must name at least one object, got none.")
    if len(set(ids)) != len(ids):
        raise UsageError(f"`obj_ids` must be distinct, got {ids}.")
    return ids


def several_masks(masks: Any) -> list[Any] | None:
    """The masks of a list, or of a stack of another number than one; None for what is one mask or label map."""
    if isinstance(masks, (list, tuple)):
        return list(masks)
    stack = isinstance(masks, (np.ndarray, torch.Tensor)) and masks.ndim > 2 and len(masks) != 1
    return list(masks) if stack and not is_mask(masks) else None


def object_masks(masks: Any, ids: list[int], name: str = "masks") -> list[np.ndarray]:
    """One bool mask (H, W) for each object, out of a label map or of binary masks.

    Args:
        masks: one label map that holds the ids, or one binary mask for each id: a list, or an array (n, H, W). With a
            single id, a mask of 0 and one of {1, the id}, or a black and white one, is that object's.
        ids: from `object_ids`.

    Raises:
        TypeError, ValueError: see `binary_mask`; an id that the label map lacks; another number of masks than ids.
    """
    several = several_masks(masks)
    if several is not None:
        if len(several) != len(ids):
            raise UsageError(f"`{name}` must hold one mask for each of the {len(ids)} objects, got {len(several)}.")
        return [binary_mask(mask, None, name) for mask in several]
    given = read_mask(masks, name)
    present = np.unique(given.values).tolist()
    if len(ids) == 1 and ids[0] not in present and (given.plain or set(present) <= {0, 1}):
        return [binary_mask(given.values, None, name)]
    if missing := [obj_id for obj_id in ids if obj_id not in present or given.plain and obj_id != 1]:
        kind = "black and white, one object" if given.plain else f"a label map without a pixel of object {missing[0]}"
        raise UsageError(f"`{name}` is {kind}; it holds {present[:20]}, the objects are {', '.join(map(str, ids))}.")
    return [given.values == obj_id for obj_id in ids]
