"""Overlays with a legend below: colour, number, sentence and score of each object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...core.annotated_object import AnnotatedObject, numbered
from ...media.overlays import object_colour, overlay_masks
from .limits import SHOWN_SIDES
from .uploads import fitted

LINE, MARGIN = 22, 6
BACKGROUND, INK = (32, 32, 32), (235, 235, 235)


def draw_results(image: np.ndarray, objects: Sequence[AnnotatedObject]) -> np.ndarray:
    """The objects' masks over their picture, and the legend below it.

    Args:
        image: uint8 (H, W, 3).
        objects: in the order of the legend, whose lines are made of number, label and score, and say which of them have
            no pixel in the picture.

    Returns:
        uint8 (H', W', 3): H' grows by one line an object, so that clips whose objects are as many keep one size.
    """
    masks = {number: fitted(item.mask, *SHOWN_SIDES, smooth=False) for number, item in numbered(objects)}
    drawn = overlay_masks(fitted(image, *SHOWN_SIDES), masks)
    return np.concatenate([drawn, _legend(objects, drawn.shape[1])]) if objects else drawn


def _legend(objects: Sequence[AnnotatedObject], width: int) -> np.ndarray:
    sheet = Image.new("RGB", (width, LINE * len(objects) + 2 * MARGIN), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for row, (number, item) in enumerate(numbered(objects)):
        top = MARGIN + row * LINE
        pen.rectangle((MARGIN, top + 3, MARGIN + 15, top + LINE - 4), fill=object_colour(number))
        text = shown = item.label
        # As much of the text as fits; number and score always stay.
        while font.getlength(legend_line(number, item, shown)) > width - MARGIN - 30 and text:
            text = text[:-1]
            shown = f"{text.rstrip()}..."
        pen.text((MARGIN + 24, top + 1), legend_line(number, item, shown), fill=INK, font=font)
    return np.asarray(sheet)


def legend_line(number: int, item: AnnotatedObject, text: str) -> str:
    """A line of the legend, with the object's label or what is left of it."""
    score = "" if item.score is None else f"  {item.score:.2f}"
    return f"{number}  {text}{score}{'' if item.is_found else '  (not found)'}"
