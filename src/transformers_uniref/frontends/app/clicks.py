"""Clicks and boxes that mark an object, as lines of text: what a click writes, and what can be typed instead.

A point is `x, y`, one beside the object `not x, y`, a box `x0, y0, x1, y1`: pixels of the upright picture, x to the
right and y down. In a text they can be read, corrected and undone, also without a mouse.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ...processors.drawn_references import box_mask, checked_box, point_mask, points_inside
from ..errors import UserError, translated

MOST_POINTS = 50
INK = (255, 45, 85)

BESIDE = "not "
"""How a line begins that says where the object is not."""

_SEPARATOR = re.compile(r"[\s,;]+")


def click_lines(text: str | None) -> list[list[float]]:
    """The numbers of each line that holds any."""
    lines = []
    for line in (text or "").splitlines():
        words = [word for word in _SEPARATOR.split(line.strip().removeprefix(BESIDE)) if word]
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = [np.nan]
        if not np.isfinite(numbers).all():
            raise UserError(f"A line must hold numbers with commas between them, such as 120, 80; got {line[:60]!r}.")
        if numbers:
            lines.append(numbers)
    return lines


def click_labels(text: str | None) -> list[int]:
    """For each line that holds any, 1, or 0 where it says what the object is not."""
    return [int(not line.strip().startswith(BESIDE)) for line in (text or "").splitlines() if line.strip()]


def add_click(text: str | None, point: tuple[float, float], *, box: bool, beside: bool = False) -> str:
    """The text after one more click.

    Args:
        text: before; lines that are no numbers are dropped.
        point: x, y in pixels of the picture.
        box: two clicks are opposite corners of a box, and a third one begins another; otherwise each is a point.
        beside: whether the point says where the object is not.
    """
    try:
        lines = click_lines(text)
    except UserError:
        lines = []
    x, y = point
    if not box:
        kept = zip(lines, click_labels(text), strict=True) if lines else ()
        points = [(line, label) for line, label in kept if len(line) == 2]
        points.append(([x, y], int(not beside)))
        return "\n".join(("" if label else BESIDE) + _line(numbers) for numbers, label in points)
    if lines and len(lines[-1]) == 2:
        x0, y0 = lines[-1]
        lines = [[min(x0, x), min(y0, y), max(x0, x), max(y0, y)]]
    else:
        lines = [[x, y]]
    return "\n".join(_line(numbers) for numbers in lines)


def without_last_click(text: str | None) -> str:
    """The text without its last click: without the last point, or with one corner of a box."""
    lines = [line for line in (text or "").splitlines() if line.strip()]
    if not lines:
        return ""
    numbers = [word for word in _SEPARATOR.split(lines[-1].removeprefix(BESIDE)) if word]
    return "\n".join([*lines[:-1], *([", ".join(numbers[:2])] if len(numbers) == 4 else [])])


def clicked_mask(text: str | None, size: tuple[int, int], *, box: bool) -> np.ndarray:
    """The mask, bool (height, width), that the points of an object or one `box` stand for.

    Points become discs, a box the ellipse that touches its sides; `text` is that of the module, `size` (height, width).
    Points beside the object are left out: no mask can say them.
    """
    given = clicked(text, size, box=box)
    if box:
        return box_mask(given["input_boxes"], size)
    on = [point for point, label in zip(given["input_points"], given["input_labels"], strict=True) if label]
    return point_mask(on, size) if on else np.zeros(size, dtype=bool)


def clicked(text: str | None, size: tuple[int, int], *, box: bool) -> dict[str, Any]:
    """What the points of an object or one `box` say, as arguments of the processor; see `clicked_mask`."""
    lines = click_lines(text)
    if not lines:
        raise UserError(
            "No box is drawn yet: click on two opposite corners."
            if box
            else "No point is set yet: click on the object."
        )
    try:
        if not box:
            return {"input_points": points_inside(_points(lines), size).tolist(), "input_labels": click_labels(text)}
        if len(lines) == 1 and len(lines[0]) == 2:
            raise UserError("Half of the box is there: click on its opposite corner.")
        if len(lines) > 1 or len(lines[0]) != 4:
            raise UserError(f"A box is one line of four numbers, x0, y0, x1, y1; got {_short(text)}.")
        return {"input_boxes": checked_box(lines[0], size).tolist()}
    except ValueError as error:
        raise UserError(translated(str(error), {"points": "The points", "boxes": "The corners of the box"})) from error


def _points(lines: list[list[float]]) -> list[list[float]]:
    for numbers in lines:
        if len(numbers) != 2:
            raise UserError(f"A point is a line of two numbers, x, y; got {_line(numbers)}.")
    if len(lines) > MOST_POINTS:
        raise UserError(f"Up to {MOST_POINTS} points are accepted, got {len(lines)}.")
    return lines


def draw_clicks(picture: np.ndarray, text: str | None, scale: float) -> np.ndarray:
    """The points, corners and boxes over a picture, as far as the text can be read; uint8 (H, W, 3).

    The picture is `scale` times as large as the one that the numbers speak of.
    """
    try:
        lines = click_lines(text)
    except UserError:
        return picture
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    for numbers in lines:
        places = [value * scale for value in numbers]
        if len(places) == 4 and places[0] <= places[2] and places[1] <= places[3]:
            pen.rectangle(places, outline=INK, width=3)
        for x, y in zip(places[::2], places[1::2], strict=False):
            pen.ellipse((x - 5, y - 5, x + 5, y + 5), fill=INK, outline=(255, 255, 255), width=2)
    return np.asarray(image)


def _line(numbers: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in numbers)


def _short(text: str | None) -> str:
    return repr(" / ".join((text or "").splitlines())[:60])
