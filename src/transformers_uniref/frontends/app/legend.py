"""Overlays with a legend below: colour, number, sentence and score of each object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...media.overlays import object_colour, overlay_masks
from .limits import SHOWN_SIDES
from .uploads import fitted

LINE, MARGIN = 22, 6
BACKGROUND, INK = (32, 32, 32), (235, 235, 235)


@dataclass(frozen=True)
class LegendEntry:
    """One line of a legend.

    Attributes:
        number: the object's id, which gives its colour.
        text: its sentence, or how it was given.
        score: 0..1; None where the model was not asked (a mask was given).
        visible: whether it has any pixel in this picture.
    """

    number: int
    text: str
    score: float | None = None
    visible: bool = True

    def line(self) -> str:
        """As it is printed."""
        score = "" if self.score is None else f"  {self.score:.2f}"
        return f"{self.number}  {self.text}{score}{'' if self.visible else '  (not found)'}"


def draw_results(
    image: np.ndarray,
    masks: Mapping[int, np.ndarray],
    entries: Sequence[LegendEntry],
    sides: tuple[int, int] = SHOWN_SIDES,
) -> np.ndarray:
    """The masks over their picture, and the legend below it.

    Args:
        image: uint8 (H, W, 3).
        masks: bool (H, W) by object id.
        entries: lines of the legend, in this order.
        sides: least and largest longer side of the drawn picture, without the legend.

    Returns:
        uint8 (H', W', 3): H' grows by one line an entry, so that clips whose entries are as many keep one size.
    """
    shown = fitted(image, *sides)
    resized = {number: fitted(np.asarray(mask, dtype=bool), *sides, smooth=False) for number, mask in masks.items()}
    drawn = overlay_masks(shown, resized)
    return np.concatenate([drawn, _legend(entries, drawn.shape[1])]) if entries else drawn


def _legend(entries: Sequence[LegendEntry], width: int) -> np.ndarray:
    sheet = Image.new("RGB", (width, LINE * len(entries) + 2 * MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for row, entry in enumerate(entries):
        top = MARGIN + row * LINE
        pen.rectangle((MARGIN, top + 3, MARGIN + 15, top + LINE - 4), fill=object_colour(entry.number))
        pen.text((MARGIN + 24, top + 1), _cut(entry, font, width - MARGIN - 30), fill=INK, font=font)
    return np.asarray(sheet)


def _cut(entry: LegendEntry, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The line with as much of its text as fits; number and score always stay."""
    line, text = entry.line(), entry.text
    while font.getlength(line) > width and text:
        text = text[:-1]
        line = LegendEntry(entry.number, f"{text.rstrip()}...", entry.score, entry.visible).line()
    return line
