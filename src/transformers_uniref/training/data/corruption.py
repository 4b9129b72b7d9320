"""Ways a mask reference goes wrong in practice: shifted, grown, shrunk, cut, strayed, or spilt over a neighbour."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def corrupt_mask(mask: np.ndarray, other: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Return a damaged copy of `mask` (H, W) bool that still has at least one pixel when `mask` has.

    Args:
        other: mask of another object that may be spilt over, or None.
    """
    kind = rng.integers(6 if other is not None else 5)
    radius = int(rng.integers(1, 4))
    if kind == 0:
        damaged = ndimage.binary_dilation(mask, iterations=radius)
    elif kind == 1:
        damaged = ndimage.binary_erosion(mask, iterations=radius)
    elif kind == 2:
        reach = max(2, mask.shape[0] // 12)
        dy, dx = (int(v) for v in rng.integers(-reach, reach + 1, 2))
        damaged = ndimage.shift(mask.astype(np.uint8), (dy, dx), order=0) > 0
    elif kind == 3:
        damaged = mask.copy()
        rows, columns = np.nonzero(mask)
        if len(rows):
            # Keep one side of a line through the middle: a part of the object is missed.
            angle = rng.random() * 2 * np.pi
            y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
            side = (y - rows.mean()) * np.sin(angle) + (x - columns.mean()) * np.cos(angle)
            damaged &= side > -0.3 * np.sqrt(len(rows))
    elif kind == 4:
        # What a lost object leaves behind: a mask of its form on anything else, mostly background.
        shift = rng.integers(0, mask.shape)
        damaged = np.roll(mask, tuple(int(v) for v in shift), axis=(0, 1)) & ~mask
    else:
        assert other is not None
        damaged = mask | (other & (rng.random() * mask.shape[1] < np.arange(mask.shape[1])))
    return damaged if damaged.any() else mask.copy()
