"""The segmentations of COCO annotations (polygons, plain and compressed run lengths) as the schema's run lengths.

Polygons are filled by pycocotools, the code that the benchmarks were measured with: other libraries put the borders
elsewhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...core.errors import UsageError
from ...core.mask_codes import decode_rle, encode_rle
from ...core.optional import require
from .pictures import fit_labels
from .remarks import Remarks

LEAST_COORDINATES = 6


def _pycocotools() -> Any:
    return require("pycocotools.mask", "data", "converting COCO masks")


def to_rle(segmentation: Any, size: tuple[int, int]) -> dict[str, Any] | None:
    """A segmentation as {"size", "counts"} (compressed text).

    Args:
        segmentation: polygons in pixels, see `polygon_lists`, or {"size", "counts"} with counts as a list, a text or
            bytes.
        size: (height, width) of the picture.

    Returns:
        None where there is nothing to fill: no polygon of three corners or more.

    Raises:
        ValueError: see `polygon_lists`; run lengths without size or counts.
    """
    coder = _pycocotools()
    height, width = size
    if isinstance(segmentation, dict):
        rle = dict(segmentation)
        if missing := {"size", "counts"} - set(rle):
            raise UsageError(f"run lengths must have {' and '.join(sorted(missing))}")
        rle["counts"] = rle["counts"].tolist() if hasattr(rle["counts"], "tolist") else rle["counts"]
        if isinstance(rle["counts"], list):
            rle = coder.frPyObjects(rle, *rle["size"])
    else:
        # pycocotools takes lists of four numbers for boxes.
        polygons = [polygon for polygon in polygon_lists(segmentation) if len(polygon) >= LEAST_COORDINATES]
        if not polygons:
            return None
        rle = coder.merge(coder.frPyObjects(polygons, height, width))
    counts = rle["counts"]
    return {
        "size": [int(side) for side in rle["size"]],
        "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts,
    }


def boxed_rle(
    segmentation: Any, size: tuple[int, int], where: str, remarks: Remarks
) -> tuple[list[float], dict[str, Any]] | None:
    """`rle_box` and `to_rle` of a segmentation at `size`; None, with a remark, where it is empty or cannot be had."""
    fitted = None
    try:
        rle = to_rle(segmentation, size)
    except (ValueError, TypeError) as error:
        remarks.deviation("segmentations that cannot be read", f"{where}: {error}")
    else:
        fitted = None if rle is None else fit_rle(rle, size)
        if rle is not None and fitted is None:
            remarks.deviation("masks of another size than their picture", where)
    box = None if fitted is None else rle_box(fitted)
    if fitted is None or box is None:
        remarks.note("empty masks", where)
        return None
    return box, fitted


def polygon_lists(segmentation: Any) -> list[list[float]]:
    """Polygons as COCO writes them, [x0, y0, x1, y1, ...] each, out of the forms that tools make of them.

    Args:
        segmentation: a list of such polygons, one such polygon without the list around it, a polygon as a list of
            points (x, y), or a list of those; arrays may stand for lists. None and [] are none.

    Raises:
        ValueError: not numbers, not finite, or an odd number of them.
    """
    given = [] if segmentation is None else _as_lists(segmentation)
    if not given:
        return []
    if _depth(given) == 1 or (_depth(given) == 2 and all(len(point) == 2 for point in given)):
        given = [given]
    polygons = []
    for polygon in given:
        if polygon and _depth(polygon) == 2 and all(len(point) == 2 for point in polygon):
            polygon = [value for point in polygon for value in point]
        if not isinstance(polygon, list) or not all(_is_number(value) for value in polygon):
            raise UsageError(f"a polygon must be numbers x0, y0, x1, y1, ... or points (x, y), got {_shown(polygon)}")
        if len(polygon) % 2:
            raise UsageError(f"a polygon must have an even number of values, got {len(polygon)}: {_shown(polygon)}")
        polygons.append([float(value) for value in polygon])
    return polygons


def _as_lists(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def _depth(value: Any) -> int:
    return 1 + max((_depth(item) for item in value), default=0) if isinstance(value, list) else 0


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
        raise UsageError(f"rle: the runs cover more than {rle['size'][0]} x {rle['size'][1]} pixels")
    return [x, y, x + width, y + height]


def corner_box(box: Any, size: tuple[int, int]) -> list[float] | None:
    """COCO's [x, y, width, height] as [x0, y0, x1, y1] cut to the picture; None where nothing is left."""
    if not box:
        return None
    x, y, width, height = (float(value) for value in box)
    x0, y0 = max(x, 0.0), max(y, 0.0)
    x1, y1 = min(x + width, float(size[1])), min(y + height, float(size[0]))
    return [x0, y0, x1, y1] if x1 > x0 and y1 > y0 else None
