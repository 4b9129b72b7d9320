"""Which colour is which object: a strip of swatches below a picture, and name tags in it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from ..core.errors import UsageError
from ..core.mask_boxes import box_around
from .lettering import default_font, shortened, wrapped
from .overlays import object_colour

_TEXT, _GROUND = (235, 235, 235), (32, 32, 32)
_SHEET_LETTERS = 14
_MOST_LINES = 3


def letter_size(height: int, width: int) -> int:
    """Pixels of the letters that suit a picture: 3 % of its shorter side, and never so few that they cannot be read."""
    return max(11, round(0.03 * min(height, width)))


def legend_strip(
    width: int, entries: Mapping[int, str], *, letters: int = _SHEET_LETTERS, most_height: int | None = None
) -> np.ndarray:
    """Draws one swatch and text for each object, side by side where they fit.

    Args:
        width: of the strip, in pixels.
        entries: text by object id; colours follow the ids as in `overlay_masks`. A text wider than the strip goes on in
            a second and a third line and is cut there.
        letters: size of the letters, in pixels.
        most_height: of the strip, in pixels; objects that do not fit are counted in its last line. None: all are shown.

    Returns:
        uint8 (H, width, 3); H is 0 without entries.

    Raises:
        ValueError: `width` or `letters` below 1.
    """
    if width < 1 or letters < 1:
        raise UsageError(f"`width` and `letters` must be 1 or more, got {width} and {letters}.")
    if not entries:
        return np.zeros((0, width, 3), dtype=np.uint8)
    plan = _Plan(
        width, letters, None if most_height is None else max(1, (most_height - letters // 2) // _line(letters))
    )
    shown = {
        number: plan.place(text, last=position == len(entries))
        for position, (number, text) in enumerate(entries.items(), 1)
    }
    strip = Image.new("RGB", (width, plan.rows * _line(letters) + letters // 2), _GROUND)
    pen = ImageDraw.Draw(strip)
    for number, place in shown.items():
        if place is None:
            continue
        left, row, lines = place
        top = row * _line(letters) + max(1, round(0.2 * letters))
        pen.rectangle((left, top, left + letters, top + letters), fill=object_colour(number))
        for below, line in enumerate(lines):
            pen.text((left + 1.5 * letters, top + below * _line(letters)), line, fill=_TEXT, font=plan.font)
    if plan.left_out:
        top = (plan.rows - 1) * _line(letters) + max(1, round(0.2 * letters))
        text = shortened(f"and {plan.left_out} more", plan.font, width - letters)
        pen.text((letters // 2, top), text, fill=_TEXT, font=plan.font)
    return np.asarray(strip)


def with_legend(image: np.ndarray, entries: Mapping[int, str], *, keep_proportions: bool = False) -> np.ndarray:
    """A picture with its legend below, in letters that suit its size; no higher than the picture, if that is not tiny.

    Args:
        image: uint8 (H, W, 3).
        entries: text by object id.
        keep_proportions: put dark bars beside the picture, so that the whole has its proportions, and even sides: for
            a clip that is played beside the original, or fills the same screen.

    Returns:
        uint8 (H', W', 3): sizes depend on that of the picture and the entries alone, so that the frames of a clip stay
        of one size. W' is W without `keep_proportions`.
    """
    height, width = image.shape[:2]
    letters = letter_size(height, width)
    strip = legend_strip(width, entries, letters=letters, most_height=max(height, 8 * letters))
    whole = np.concatenate([image, strip])
    if not keep_proportions or not len(strip):
        return whole
    # Even, as video codecs want it, which would cut a row otherwise.
    tall = whole.shape[0] + whole.shape[0] % 2
    wide = max(width, 2 * round(width * tall / height / 2))
    framed = np.full((tall, wide, 3), _GROUND, dtype=np.uint8)
    left = (wide - width) // 2
    framed[: whole.shape[0], left : left + width] = whole
    return framed


def _line(letters: int) -> int:
    return round(1.4 * letters)


class _Plan:
    """Where the entries of a legend go, one after the other.

    Args:
        width: of the strip, in pixels.
        letters: their size, in pixels.
        most_rows: how many rows there may be, one for a count of what is left out included; None: any number.
    """

    def __init__(self, width: int, letters: int, most_rows: int | None) -> None:
        self.font = default_font(letters)
        self.width, self.letters, self.most_rows = width, letters, most_rows
        self.rows = 0
        self.left_out = 0
        self._left = width

    def place(self, text: str, last: bool) -> tuple[int, int, list[str]] | None:
        """Left side in pixels, row, and lines of an entry; None where there is no room for it.

        A row is kept for the count of what is left out, until the last entry shows that nothing is.
        """
        room = max(1, self.width - 3 * self.letters)
        lines = wrapped(text, self.font, room, _MOST_LINES)
        needed = 2 * self.letters + round(max(self.font.getlength(line) for line in lines))
        beside = len(lines) == 1 and self._left + needed <= self.width
        full = self.most_rows is not None and self.rows + len(lines) > self.most_rows - (not last)
        if self.left_out or (full and not beside):
            self.rows += not self.left_out
            self.left_out += 1
            return None
        if not beside:
            self.rows += len(lines)
            self._left = self.letters // 2
        left = self._left
        self._left = self.width if len(lines) > 1 else left + needed + self.letters
        return left, self.rows - len(lines), lines


def tag_objects(image: np.ndarray, labels: np.ndarray, texts: Mapping[int, str]) -> np.ndarray:
    """Writes a name at the upper left of each visible object, on a plate of the object's colour.

    Args:
        image: uint8 (H, W, 3).
        labels: integer (H, W), 0 = background, values above it are object ids.
        texts: by object id; an object without one gets no tag.

    Returns:
        uint8 (H, W, 3), a new array.

    Raises:
        ValueError: `labels` has another size than `image`.
    """
    image, labels = np.asarray(image), np.asarray(labels)
    if labels.shape != image.shape[:2]:
        raise UsageError(f"`labels` must have the image's size {image.shape[:2]}, got {labels.shape}.")
    height, width = labels.shape
    size = letter_size(height, width)
    font = default_font(size)
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for number, given in texts.items():
        box = box_around(labels == number)
        if box is None:
            continue
        left, top = box[:2]
        text = shortened(given, font, width - 6)
        plate_width, plate_height = round(font.getlength(text)) + 6, size + 6
        x = max(0, min(left, width - plate_width))
        y = max(0, min(top - plate_height, height - plate_height))
        colour = object_colour(number)
        pen.rectangle((x, y, x + plate_width, y + plate_height), fill=colour)
        # Black on bright plates and white on dark ones, by the luma of Rec. 601.
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
        pen.text((x + 3, y + 2), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
    return np.asarray(drawn)
