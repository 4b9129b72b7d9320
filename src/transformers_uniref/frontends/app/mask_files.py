"""Mask files that users send: checked like pictures, then read by the package's own reader of masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.masks import fit_mask
from ...pipelines.mask_prompts import read_mask_prompts
from ..errors import UserError
from .limits import MAX_OBJECTS
from .uploads import open_picture

CALLED = "the mask file"


def read_mask_file(path: str | None, size: tuple[int, int]) -> dict[int, np.ndarray]:
    """The objects of an uploaded mask, binary or with a value for each: bool (height, width) by that value.

    A mask in black and white is object 1. `size` is that of the picture that it belongs to.

    Warns:
        UserWarning: its size was off by a hair, see `fit_mask`.
    """
    with open_picture(path, CALLED):
        pass  # format and number of pixels are checked before anything is decoded
    file = Path(str(path))
    try:
        masks = read_mask_prompts(str(file), CALLED)[0]
    except (ValueError, OSError) as error:
        # The reader names the file as this server calls it, folder and all.
        told = str(error).replace(str(file), file.name).replace(f"`{CALLED}`", CALLED)
        raise UserError(f"{told[0].upper()}{told[1:]}") from error
    if len(masks) > MAX_OBJECTS:
        raise UserError(
            f"The mask file holds {len(masks)} objects ({', '.join(map(str, list(masks)[:6]))}, ...); up to "
            f"{MAX_OBJECTS} are accepted."
        )
    try:
        return {number: fit_mask(mask, size, CALLED) for number, mask in masks.items()}
    except ValueError as error:
        height, width = next(iter(masks.values())).shape
        raise UserError(
            f"The mask file is {width} x {height}, but the picture that it belongs to is {size[1]} x {size[0]}: send "
            "the mask of this picture, in its size."
        ) from error
