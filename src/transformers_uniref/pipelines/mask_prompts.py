"""The masks that a user gives for the objects of a clip, whatever their arrangement, by frame and object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.mask_reading import read_mask
from ..core.masks import binary_mask, object_ids, several_masks

MaskPrompts = dict[int, dict[int, np.ndarray]]
"""bool (H, W) by object id, by frame index."""


def read_mask_prompts(masks: Any, name: str = "masks") -> MaskPrompts:
    """Brings masks to one form.

    Args:
        masks: for the first frame, or in a dictionary {frame index: ...}: a label map whose values above 0 are object
            ids (array, tensor, PIL image or path, see `read_mask`; black and white is object 1); a list or an array
            (n, H, W) of binary masks of the objects 1..n; a dictionary {object id: binary mask} (inside
            {frame index: ...} only).
        name: the argument's name, for messages.

    Returns:
        Frames in ascending order. Frames whose label map is empty are left out.

    Raises:
        TypeError, ValueError: see `binary_mask`; frame indices that are no integers or negative; no object at all.
    """
    by_frame = masks if isinstance(masks, Mapping) else {0: masks}
    prompts: MaskPrompts = {}
    for index, given in by_frame.items():
        if not isinstance(index, (int, np.integer)) or isinstance(index, bool) or index < 0:
            raise UsageError(f"`{name}` must have frame indices, 0 or more, as keys; got {index!r}.")
        if objects := _frame_masks(given, name):
            prompts[int(index)] = objects
    if not prompts:
        raise UsageError(f"`{name}` must mark at least one object; got none.")
    return dict(sorted(prompts.items()))


def _frame_masks(given: Any, name: str) -> dict[int, np.ndarray]:
    if isinstance(given, Mapping):
        return dict(zip(object_ids(list(given)), (binary_mask(m, None, name) for m in given.values()), strict=True))
    several = several_masks(given)
    if several is not None:
        return {number: binary_mask(mask, None, name) for number, mask in enumerate(several, start=1)}
    return read_mask(given, name).objects()
