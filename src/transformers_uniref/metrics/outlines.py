"""Outlines of masks as lists of pixels, and how many of one outline's pixels lie near another one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_PIXELS_AT_A_TIME = 1 << 16
"""Bounds the memory that noise takes, whose outline is most of the picture."""


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask's outline.

    A pixel belongs to the outline when its neighbour to the right, below, or below to the right has another value: the
    outline is one pixel wide and lies half a pixel up and left. Beyond the picture's edge there are no neighbours.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W).
    """
    outline = np.zeros(mask.shape, dtype=bool)
    outline[:, :-1] = mask[:, :-1] != mask[:, 1:]
    outline[:-1] |= mask[:-1] != mask[1:]
    outline[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return outline


class Outline:
    """The outline of a mask. Everything but its box is skipped, so that small objects cost little.

    Args:
        mask: bool (H, W).

    Attributes:
        rows, columns: int (n,), the places of the outline's pixels in the picture.
        shape: (H, W) of the picture.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.shape = mask.shape
        self._reach: dict[float, tuple[np.ndarray, int, int]] = {}
        filled = np.flatnonzero(mask.any(1))
        if not len(filled):
            self.rows = self.columns = np.zeros(0, dtype=np.intp)
            return
        top, bottom = max(filled[0] - 1, 0), filled[-1] + 2
        filled = np.flatnonzero(mask[top:bottom].any(0))
        left, right = max(filled[0] - 1, 0), filled[-1] + 2
        # One more row and column on each side: the outline lies above and left, and ends where nothing changes.
        rows, columns = np.nonzero(boundary_map(mask[top:bottom, left:right]))
        self.rows, self.columns = rows + top, columns + left

    def __len__(self) -> int:
        return len(self.rows)

    def count_near(self, other: Outline, radius: float) -> int:
        """How many of this outline's pixels lie in the other one, widened by a disk.

        Args:
            other: another outline of the same picture.
            radius: of the disk in pixels, see `disk_rows`.
        """
        if not len(self) or not len(other):
            return 0
        reach, top, left = other._widened(radius)
        rows, columns = self.rows - top, self.columns - left
        inside = (rows >= 0) & (rows < reach.shape[0]) & (columns >= 0) & (columns < reach.shape[1])
        return int(np.count_nonzero(reach[rows[inside], columns[inside]]))

    def _widened(self, radius: float) -> tuple[np.ndarray, int, int]:
        """The outline widened by a disk: bool (h, w), and the row and column of its corner. Kept for the next call."""
        if radius not in self._reach:
            self._reach[radius] = self._widen(radius)
        return self._reach[radius]

    def _widen(self, radius: float) -> tuple[np.ndarray, int, int]:
        shifts, firsts, lasts = disk_rows(radius)
        margin = int(max(np.abs(shifts).max(), np.abs(firsts).max(), np.abs(lasts).max()))
        top, left = int(self.rows.min()) - margin, int(self.columns.min()) - margin
        height = int(self.rows.max()) + margin + 1 - top
        width = int(self.columns.max()) + margin + 2 - left
        # Each pixel covers an interval in each row of the disk: +1 where intervals begin, -1 behind their ends; the
        # running sum, which is 0 again at the end of every row, is positive where something covers.
        places = ((self.rows - top) * width + self.columns - left)[:, None]
        size = height * width
        changes = np.zeros(size, dtype=np.intp)
        for start in range(0, len(places), _PIXELS_AT_A_TIME):
            chunk = places[start : start + _PIXELS_AT_A_TIME]
            changes += np.bincount((chunk + (shifts * width + firsts)).ravel(), minlength=size)
            changes -= np.bincount((chunk + (shifts * width + lasts + 1)).ravel(), minlength=size)
        return (np.cumsum(changes) > 0).reshape(height, width), top, left


@lru_cache(maxsize=64)
def disk_rows(radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels to which a disk widens one pixel, as one interval for each row.

    With a whole number, all pixels at most that far. Otherwise the disk is cut as scikit-image and OpenCV do it:
    sampled at -radius, -radius + 1, ... along both axes and anchored at its middle cell, so that it lies off-centre by
    a fraction of a pixel. MOSEv2 measures with such disks.

    Args:
        radius: in pixels, at least 0.

    Returns:
        Integer (k,) arrays: row, first column and last column of each interval, relative to the pixel.
    """
    samples = np.arange(-radius, radius + 1)
    disk = samples[:, None] ** 2 + samples[None, :] ** 2 <= radius**2
    anchor = len(samples) // 2
    used = np.flatnonzero(disk.any(1))
    first, last = disk[used].argmax(1) - anchor, len(samples) - 1 - disk[used, ::-1].argmax(1) - anchor
    # A widened pixel is one that finds the outline under its disk, so the disk is mirrored around the outline's pixels.
    return anchor - used, -last, -first
