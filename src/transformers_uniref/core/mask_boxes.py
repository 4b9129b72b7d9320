"""The box around a mask."""

from __future__ import annotations

import numpy as np

Box = tuple[int, int, int, int]


def box_around(mask: np.ndarray) -> Box | None:
    """x0, y0, x1, y1 in pixels around what is not zero in (H, W), the upper ends exclusive; None: nothing is."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_of(mask: np.ndarray) -> Box:
    """`box_around`, and zeros where there is nothing."""
    return box_around(mask) or (0, 0, 0, 0)


def coco_box(mask: np.ndarray) -> list[int]:
    """`box_of` as COCO has it: [x, y, width, height]."""
    x0, y0, x1, y1 = box_of(mask)
    return [x0, y0, x1 - x0, y1 - y0]


def window_of(mask: np.ndarray) -> tuple[slice, slice]:
    """Lines and columns that hold all that is not zero in an array (H, W); empty where nothing is."""
    x0, y0, x1, y1 = box_of(mask)
    return slice(y0, y1), slice(x0, x1)
