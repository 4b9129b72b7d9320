"""Points, boxes and scribbles as mask references, for users who have no mask.

The model knows two kinds of references, sentences and masks. What is drawn here is a mask made of the little that a
click or a drag says: a disc around each point, the rectangle or the ellipse of a box, a thick line along a scribble.
The encoder of masks sees it like any other mask; nothing is learnt about clicks. `docs/references.md` has measurements.

Coordinates are pixels of the upright picture, x to the right and y down, the centre of the first pixel at (0.5, 0.5):
a box from 0, 0 to width, height covers the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import KindError, UsageError

POINT_RADIUS = 0.07
"""Radius of a point's disc where none is given, as a share of the picture's shorter side."""

SCRIBBLE_WIDTH = 0.09
"""Width of a scribble's line where none is given, as a share of the picture's shorter side."""

BOX_SHAPES = ("ellipse", "rectangle")


def point_mask(points: Any, size: tuple[int, int], radius: float | None = None) -> np.ndarray:
    """Discs around points of one object.

    Args:
        points: (x, y), or several of them, in pixels, inside the picture.
        size: (height, width) of the picture.
        radius: of the discs in pixels. Default: `POINT_RADIUS` of the shorter side, at least 1.

    Returns:
        bool (height, width): at least the pixel under each point.

    Raises:
        TypeError, ValueError: no points, or points outside the picture; a radius that is not positive.
    """
    return _near_strokes(
        [point[None] for point in points_inside(points, size)],
        size,
        _reach(radius, size, POINT_RADIUS, "radius"),
    )


def box_mask(box: Any, size: tuple[int, int], shape: str = "ellipse") -> np.ndarray:
    """The inside of a box around one object.

    Args:
        box: x0, y0, x1, y1 in pixels; what lies outside the picture is cut off.
        size: (height, width) of the picture.
        shape: "ellipse", the one that touches the box's sides, or "rectangle".

    Returns:
        bool (height, width): the pixels whose centres are inside; at least one.

    Raises:
        TypeError, ValueError: no four finite numbers, a box without an inside, or outside the picture; another shape.
    """
    if shape not in BOX_SHAPES:
        raise UsageError(f"`shape` must be one of {', '.join(BOX_SHAPES)}, got {shape!r}.")
    x0, y0, x1, y1 = checked_box(box, size).tolist()
    height, width = size
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    if shape == "rectangle":
        mask = ((rows >= y0) & (rows <= y1))[:, None] & ((columns >= x0) & (columns <= x1))[None]
    else:
        across, down = (columns - (x0 + x1) / 2) / ((x1 - x0) / 2), (rows - (y0 + y1) / 2) / ((y1 - y0) / 2)
        mask = down[:, None] ** 2 + across[None] ** 2 <= 1
    if not mask.any():
        # Thinner than a pixel, or an ellipse whose part in the picture is: the pixel that is nearest to its middle.
        row, column = int((y0 + y1) / 2), int((x0 + x1) / 2)
        mask[min(max(row, 0), height - 1), min(max(column, 0), width - 1)] = True
    return mask


def scribble_mask(strokes: Any, size: tuple[int, int], width: float | None = None) -> np.ndarray:
    """Thick lines along the strokes that were drawn on one object.

    Args:
        strokes: a stroke, that is (n, 2) points (x, y) which straight lines join, or a list of strokes; in pixels,
            inside the picture.
        size: (height, width) of the picture.
        width: of the line in pixels. Default: `SCRIBBLE_WIDTH` of the shorter side, at least 2.

    Returns:
        bool (height, width); round ends.

    Raises:
        TypeError, ValueError: no points, or points outside the picture; a width that is not positive.
    """
    half = None if width is None else _positive(width, "width") / 2
    return _near_strokes(strokes_of(strokes, size), size, _reach(half, size, SCRIBBLE_WIDTH / 2, "width"))


def drawn_masks(given: dict[str, Any], sizes: Any, options: dict[str, Any]) -> Any:
    """Masks in the arrangement of the pictures that they are for.

    Args:
        given: one of `points`, `boxes`, `scribbles`: what was drawn, in the arrangement of `sizes`.
        sizes: (height, width) of a picture, a list of them, or a list of lists.
        options: further arguments of `point_mask`, `box_mask` or `scribble_mask`.

    Raises:
        TypeError, ValueError: see there; another arrangement than that of the pictures.
    """
    ((kind, drawn),) = given.items()
    name = f"reference_{kind}"

    def draw(value: Any, size: Any) -> Any:
        if isinstance(size, tuple):
            return PAINTERS[kind](value, size, **options)
        if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != len(size):
            found = f"{len(value)}" if isinstance(value, (list, tuple, np.ndarray)) else type(value).__name__
            raise UsageError(
                f"`{name}` must be arranged like `reference_images`: one item for each of {len(size)}, got {found}."
            )
        return [draw(item, inner) for item, inner in zip(value, size, strict=True)]

    return draw(drawn, sizes)


PAINTERS: dict[str, Callable[..., np.ndarray]] = {
    "points": point_mask,
    "boxes": box_mask,
    "scribbles": scribble_mask,
}


# ------------------------------------------------------------------------------------------------------------- checking
def _numbers(value: Any, name: str) -> np.ndarray:
    """An array of finite numbers."""
    try:
        array = np.asarray(value.cpu() if hasattr(value, "cpu") else value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise KindError(f"`{name}` must hold numbers, got {_shown(value)} ({error}).") from error
    if not np.isfinite(array).all():
        raise UsageError(f"`{name}` must hold finite numbers, got {_shown(value)}.")
    return array


def checked_box(box: Any, size: tuple[int, int]) -> np.ndarray:
    """A box x0, y0, x1, y1 in pixels as float (4,), with an inside that overlaps the picture."""
    corners = _numbers(box, "boxes")
    if corners.shape != (4,):
        raise UsageError(f"`boxes` must be x0, y0, x1, y1 for each object, got {_shown(box)}.")
    x0, y0, x1, y1 = corners.tolist()
    height, width = size
    if x1 <= x0 or y1 <= y0:
        raise UsageError(f"`boxes` must have x0 < x1 and y0 < y1, got {_shown(box)}.")
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise UsageError(f"`boxes` must overlap the picture of width {width} and height {height}, got {_shown(box)}.")
    return corners


def points_inside(points: Any, size: tuple[int, int], name: str = "points") -> np.ndarray:
    """A point (x, y) or several of them as float (n, 2), in the picture of this (height, width)."""
    return _inside(_pairs(points, name), size, name)


def strokes_of(strokes: Any, size: tuple[int, int]) -> list[np.ndarray]:
    """One stroke or several as float (n, 2) each, in the picture of this (height, width)."""
    return [_inside(stroke, size, "scribbles") for stroke in _strokes(strokes)]


def _pairs(value: Any, name: str) -> np.ndarray:
    """(x, y), or several of them, as float (n, 2)."""
    array = _numbers(value, name)
    array = array[None] if array.shape == (2,) else array
    if array.ndim != 2 or array.shape[1] != 2 or not len(array):
        raise UsageError(f"`{name}` must be (x, y), or a list of them, for each object, got {_shown(value)}.")
    return array


def _strokes(value: Any) -> list[np.ndarray]:
    """One stroke or several as float (n, 2) each."""
    several = isinstance(value, (list, tuple)) and len(value) and all(_is_stroke(item) for item in value)
    return [_pairs(stroke, "scribbles") for stroke in (value if several else [value])]


def _is_stroke(value: Any) -> bool:
    """Whether it is a list of points rather than one."""
    if isinstance(value, (list, tuple)):
        return bool(value) and not isinstance(value[0], (int, float, np.number))
    return getattr(value, "ndim", 0) == 2


def _inside(points: np.ndarray, size: tuple[int, int], name: str) -> np.ndarray:
    height, width = size
    outside = (points < 0).any(1) | (points[:, 0] > width) | (points[:, 1] > height)
    if outside.any():
        raise UsageError(
            f"`{name}` must lie in the picture of width {width} and height {height}, got "
            f"{tuple(points[outside][0].tolist())}."
        )
    return points


def _positive(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < float(value) < math.inf:
        raise UsageError(f"`{name}` must be a positive number of pixels, got {value!r}.")
    return float(value)


def _reach(given: float | None, size: tuple[int, int], share: float, name: str) -> float:
    return max(1.0, share * min(size)) if given is None else _positive(given, name)


def _shown(value: Any) -> str:
    text = repr(value.tolist() if hasattr(value, "tolist") else value)
    return text if len(text) <= 60 else text[:57] + "..."


# -------------------------------------------------------------------------------------------------------------- drawing
def _near_strokes(strokes: Sequence[np.ndarray], size: tuple[int, int], reach: float) -> np.ndarray:
    """The pixels whose centres are at most `reach` from a stroke (n, 2), and those under its points."""
    height, width = size
    mask: np.ndarray = np.zeros(size, dtype=bool)
    for stroke in strokes:
        for start, end in zip(stroke, stroke[1:] if len(stroke) > 1 else stroke, strict=False):
            low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
            left, top = (max(0, math.floor(value)) for value in low.tolist())
            right, bottom = (
                min(side, math.ceil(value)) for value, side in zip(high.tolist(), (width, height), strict=True)
            )
            mask[top:bottom, left:right] |= _near_segment(start, end, (left, top, right, bottom)) <= reach
        columns, rows = np.minimum(stroke.astype(int), [width - 1, height - 1]).T
        mask[rows, columns] = True
    return mask


def _near_segment(start: np.ndarray, end: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """Distance of the centres of pixels in a window (left, top, right, bottom) from the line between two points."""
    left, top, right, bottom = window
    x = np.arange(left, right)[None] + 0.5 - start[0]
    y = np.arange(top, bottom)[:, None] + 0.5 - start[1]
    along = end - start
    length = float(along @ along)
    share = np.clip((x * along[0] + y * along[1]) / length, 0, 1) if length else np.zeros(np.broadcast(x, y).shape)
    return np.hypot(x - share * along[0], y - share * along[1])
