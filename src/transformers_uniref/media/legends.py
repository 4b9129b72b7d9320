"""Which colour is which object: a strip of swatches below a picture, and name tags in it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from .lettering import default_font, shortened
from .overlays import object_colour

_GAP, _LINE, _SWATCH = 8, 20, 14
_TEXT, _GROUND = (235, 235, 235), (32, 32, 32)


def legend_strip(width: int, entries: Mapping[int, str]) -> np.ndarray:
    """Draws one swatch and text for each object, side by side where they fit.

    Args:
        width: of the strip, in pixels.
        entries: text by object id; colours follow the ids as in `overlay_masks`. A text wider than the strip is cut.

    Returns:
        uint8 (H, width, 3); H is 0 without entries.
    """
    font = default_font(14)
    room = max(1, width - 3 * _GAP - _SWATCH)
    texts = {number: shortened(text, font, room) for number, text in entries.items()}
    places: dict[int, tuple[int, int]] = {}
    left, row = _GAP, 0
    for number, text in texts.items():
        needed = _SWATCH + _GAP + round(font.getlength(text)) + 2 * _GAP
        if left > _GAP and left + needed - _GAP > width:
            left, row = _GAP, row + 1
        places[number] = (left, row * _LINE)
        left += needed
    strip = Image.new("RGB", (width, (row + 1) * _LINE + _GAP if entries else 0), _GROUND)
    pen = ImageDraw.Draw(strip)
    for number, (x, y) in places.items():
        pen.rectangle((x, y + 3, x + _SWATCH, y + 3 + _SWATCH), fill=object_colour(number))
        pen.text((x + _SWATCH + _GAP, y + 1), texts[number], fill=_TEXT, font=font)
    return np.asarray(strip)


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
        raise ValueError(f"`labels` must have the image's size {image.shape[:2]}, got {labels.shape}.")
    height, width = labels.shape
    size = max(10, min(24, round(min(height, width) / 24)))
    font = default_font(size)
    drawn = Image.fromarray(image)
    pen = ImageDraw.Draw(drawn)
    for number, given in texts.items():
        mask = labels == number
        if not mask.any():
            continue
        text = shortened(given, font, width - 6)
        top, left = int(np.flatnonzero(mask.any(1))[0]), int(np.flatnonzero(mask.any(0))[0])
        plate_width, plate_height = round(font.getlength(text)) + 6, size + 6
        x = max(0, min(left, width - plate_width))
        y = max(0, min(top - plate_height, height - plate_height))
        colour = object_colour(number)
        pen.rectangle((x, y, x + plate_width, y + plate_height), fill=colour)
        # Black on bright plates and white on dark ones, by the luma of Rec. 601.
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
        pen.text((x + 3, y + 2), text, fill=(0, 0, 0) if bright else (255, 255, 255), font=font)
    return np.asarray(drawn)
