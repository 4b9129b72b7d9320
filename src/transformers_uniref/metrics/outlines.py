"""Outlines of masks as lists of pixels, and how many of one outline's pixels lie near another one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_LOOK_UPS_AT_A_TIME = 1 << 20
"""Bounds the memory that noise takes, whose outline is most of the picture."""

_GROUPS = (1, 5, 13, 37, 97, 197)
"""Where the pixels of a disk, sorted by distance, are cut into groups that are looked up together."""


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
    """The outline of a mask. Everything outside its box is skipped, so that small objects cost little.

    Args:
        mask: bool (H, W).

    Attributes:
        rows, columns: int (n,), the places of the outline's pixels in the picture.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self._map, self._top, self._left = np.zeros((0, 0), dtype=bool), 0, 0
        self._padded: dict[int, np.ndarray] = {}
        self.rows = self.columns = np.zeros(0, dtype=np.intp)
        filled = np.flatnonzero(mask.any(1))
        if not len(filled):
            return
        # One more row and column on each side: the outline lies above and left, and ends where nothing changes.
        self._top, bottom = max(int(filled[0]) - 1, 0), filled[-1] + 2
        filled = np.flatnonzero(mask[self._top : bottom].any(0))
        self._left, right = max(int(filled[0]) - 1, 0), filled[-1] + 2
        self._map = boundary_map(mask[self._top : bottom, self._left : right])
        rows, columns = np.divmod(np.flatnonzero(self._map), self._map.shape[1])
        self.rows, self.columns = rows + self._top, columns + self._left

    def __len__(self) -> int:
        return len(self.rows)

    def count_near(self, other: Outline, radius: float) -> int:
        """How many of this outline's pixels have one of the other's under a disk around them.

        Args:
            other: another outline of the same picture.
            radius: of the disk in pixels, see `disk_offsets`.
        """
        if not len(self) or not len(other):
            return 0
        rows, columns = disk_offsets(radius)
        reach = int(max(np.abs(rows).max(), np.abs(columns).max()))
        around = other._with_margin(2 * reach)
        height, width = around.shape
        row, column = self.rows - other._top + 2 * reach, self.columns - other._left + 2 * reach
        close = (row >= reach) & (row < height - reach) & (column >= reach) & (column < width - reach)
        waiting = row[close] * width + column[close]
        steps = rows * width + columns
        # From the middle of the disk outwards: most pixels are found soon and need no further look.
        near = len(waiting)
        for start, end in zip((0, *_GROUPS), (*_GROUPS, len(steps)), strict=True):
            group = steps[start:end]
            if len(group) and len(waiting):
                waiting = waiting[~_found(around.ravel(), waiting, group)]
        return near - len(waiting)

    def _with_margin(self, margin: int) -> np.ndarray:
        """The outline's box with empty rows and columns around it."""
        if margin not in self._padded:
            self._padded[margin] = np.pad(self._map, margin)
        return self._padded[margin]


def _found(outline: np.ndarray, places: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Whether the outline (flat) has a pixel at any of the steps from each place: bool (n,)."""
    at_a_time = max(1, _LOOK_UPS_AT_A_TIME // len(steps))
    chunks = [places[start : start + at_a_time] for start in range(0, len(places), at_a_time)]
    return np.concatenate([outline[chunk + steps[:, None]].any(0) for chunk in chunks])


@lru_cache(maxsize=64)
def disk_offsets(radius: float) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a disk around a pixel, the nearest first.

    With a whole number, all pixels at most that far. Otherwise the disk is cut as scikit-image and OpenCV do it:
    sampled at -radius, -radius + 1, ... along both axes and anchored at its middle cell, so that it lies off-centre by
    a fraction of a pixel. MOSEv2 measures with such disks.

    Args:
        radius: in pixels, at least 0.

    Returns:
        Integer (k,) arrays: rows and columns relative to the pixel.
    """
    samples = np.arange(-radius, radius + 1)
    rows, columns = np.nonzero(samples[:, None] ** 2 + samples[None, :] ** 2 <= radius**2)
    if not len(rows):
        # So small a radius occurs in pictures of a few pixels alone; an outline then only agrees with itself.
        return np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp)
    rows, columns = rows - len(samples) // 2, columns - len(samples) // 2
    order = np.argsort(rows**2 + columns**2, kind="stable")
    return rows[order], columns[order]
