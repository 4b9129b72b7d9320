"""Masks as polygons along the edges of their pixels, and back.

The polygons are exact: filled by the rule of COCO they give the same mask. They hold no holes, which COCO's lists of
polygons cannot say; a part with a hole is cut through the hole into parts without.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from ..core.mask_codes import decode_rle
from ..core.optional import require


def mask_to_polygons(mask: np.ndarray) -> list[list[float]]:
    """The outlines of a mask's parts.

    Args:
        mask: bool (H, W).

    Returns:
        For each part [x0, y0, x1, y1, ...], corners of pixels, clockwise on the screen; none for an empty mask.
    """
    polygons = []
    waiting = [(part, 0, 0) for part in [np.asarray(mask, dtype=bool)] if part.any()]
    while waiting:
        region, top, left = waiting.pop()
        labels, count = ndimage.label(region)
        for number, window in enumerate(ndimage.find_objects(labels, count), start=1):
            part = labels[window] == number
            y, x = top + window[0].start, left + window[1].start
            holes = ndimage.binary_fill_holes(part) & ~part
            if holes.any():
                rows = np.flatnonzero(ndimage.label(holes)[0].__eq__(1).any(1))
                cut = int(rows[len(rows) // 2]) + 1
                waiting += [(part[:cut], y, x), (part[cut:], y + cut, x)]
            else:
                polygons.append([float(value) for column, row in _outline(part) for value in (column + x, row + y)])
    return polygons


def _outline(part: np.ndarray) -> list[tuple[int, int]]:
    """The corners (x, y) of a connected part without holes, clockwise on the screen.

    Such a part has one outline, which never touches itself: were two of its pixels to meet at a corner alone, what
    joins them elsewhere would enclose a hole.
    """
    padded = np.pad(part, 1)
    inside = padded[1:-1, 1:-1]
    following: dict[tuple[int, int], tuple[int, int]] = {}
    # An edge has the part on its right: top edges run to the right, right ones down, bottom ones left, left ones up.
    edges = (
        (inside & ~padded[:-2, 1:-1], (0, 0), (1, 0)),
        (inside & ~padded[1:-1, 2:], (1, 0), (1, 1)),
        (inside & ~padded[2:, 1:-1], (1, 1), (0, 1)),
        (inside & ~padded[1:-1, :-2], (0, 1), (0, 0)),
    )
    for found, start, end in edges:
        for row, column in np.argwhere(found).tolist():
            following[column + start[0], row + start[1]] = (column + end[0], row + end[1])
    first = min(following)
    corners, point, before = [], first, (0, 0)
    for _ in range(len(following)):
        following_point = following[point]
        direction = (following_point[0] - point[0], following_point[1] - point[1])
        if direction != before:
            corners.append(point)
        point, before = following_point, direction
    return corners


def polygons_to_mask(polygons: Any, size: tuple[int, int]) -> np.ndarray:
    """Polygons filled by COCO's rule (with pycocotools).

    Args:
        polygons: a list of [x0, y0, x1, y1, ...] in pixels, at least three corners each.
        size: (height, width).

    Returns:
        bool (H, W), the union.

    Raises:
        MissingExtraError: pycocotools is not installed.
    """
    from ..datasets.converters.coco_masks import to_rle

    require("pycocotools.mask", "data", "filling polygons")
    rle = to_rle(polygons, size)
    return np.zeros(size, dtype=bool) if rle is None else decode_rle(rle)
