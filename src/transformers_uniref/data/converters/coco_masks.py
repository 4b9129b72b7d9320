"""The segmentations of COCO annotations (polygons, plain and compressed run lengths) as the schema's run lengths.

Polygons are filled by pycocotools, the code that the benchmarks were measured with: other libraries put the borders
elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...optional import require
from ..mask_codes import decode_rle, encode_rle
from .pictures import fit_labels

_LEAST_COORDINATES = 6


def _pycocotools() -> Any:
    return require("pycocotools.mask", "data", "converting COCO masks")


def to_rle(segmentation: Any, size: tuple[int, int]) -> dict[str, Any] | None:
    """A segmentation as {"size", "counts"} (compressed text).

    Args:
        segmentation: a list of polygons [x0, y0, x1, y1, ...] in pixels, or {"size", "counts"} with counts as a list, a
            text or bytes.
        size: (height, width) of the picture.

    Returns:
        None where there is nothing to fill: no polygon of three corners or more.
    """
    coder = _pycocotools()
    height, width = size
    if isinstance(segmentation, dict):
        rle = segmentation
        if isinstance(rle["counts"], list):
            rle = coder.frPyObjects(rle, *rle["size"])
    else:
        # pycocotools takes lists of four numbers for boxes.
        polygons = [polygon for polygon in segmentation or () if len(polygon) >= _LEAST_COORDINATES]
        if not polygons:
            return None
        rle = coder.merge(coder.frPyObjects(polygons, height, width))
    counts = rle["counts"]
    return {
        "size": [int(side) for side in rle["size"]],
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
    }


def fit_rle(rle: dict[str, Any], size: tuple[int, int]) -> dict[str, Any] | None:
    """`rle` at `size`, resized where the sides differ by a rounding, or None; see `pictures.fit_labels`."""
    if tuple(rle["size"]) == tuple(size):
        return rle
    fitted = fit_labels(decode_rle(rle).astype(np.uint8), size)
    return None if fitted is None else encode_rle(fitted > 0)


def rle_box(rle: dict[str, Any]) -> list[float] | None:
    """[x0, y0, x1, y1] around a mask in pixels, the maximum exclusive; None where it is empty.

    Raises:
        ValueError: the runs do not fill the size.
    """
    coder = _pycocotools()
    x, y, width, height = (float(value) for value in coder.toBbox(rle))
    if width <= 0 or height <= 0:
        return None
    if x + width > rle["size"][1] or y + height > rle["size"][0]:
        raise ValueError(f"rle: the runs cover more than {rle['size'][0]} x {rle['size'][1]} pixels")
    return [x, y, x + width, y + height]


def corner_box(box: Any, size: tuple[int, int]) -> list[float] | None:
    """COCO's [x, y, width, height] as [x0, y0, x1, y1] cut to the picture; None where nothing is left."""
    if not box:
        return None
    x, y, width, height = (float(value) for value in box)
    x0, y0 = max(x, 0.0), max(y, 0.0)
    x1, y1 = min(x + width, float(size[1])), min(y + height, float(size[0]))
    return [x0, y0, x1, y1] if x1 > x0 and y1 > y0 else None
