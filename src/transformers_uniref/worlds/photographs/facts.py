"""What can be measured of an object in a photograph: where it is, how large, and of what colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COLOURS = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
_CLEAR_COLOUR = 0.55
"""A colour names an object when so large a share of its pixels has it."""
_LEAST_HEIGHT = 0.2
"""Clothes are told of objects of this height, in shares of the picture."""


@dataclass(frozen=True)
class Facts:
    """An object's place and size in shares of the picture, x to the right and y downwards.

    Attributes:
        x, y: centre of its pixels.
        left, top, right, bottom: its box.
        area: share of the picture.
        colour: of `COLOURS`, or empty where none prevails.
        upper, lower: the same for the part under the top quarter of its box, and for the part above its last eighth:
            the clothes of a person who stands; empty where the object is small.
    """

    x: float
    y: float
    left: float
    top: float
    right: float
    bottom: float
    area: float
    colour: str
    upper: str = ""
    lower: str = ""


def measure(image: np.ndarray, mask: np.ndarray) -> Facts:
    """Facts of a mask with at least one pixel.

    Args:
        image: uint8 (H, W, 3).
        mask: bool (H, W).
    """
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    return Facts(
        float(columns.mean() + 0.5) / width,
        float(rows.mean() + 0.5) / height,
        float(columns.min()) / width,
        float(rows.min()) / height,
        float(columns.max() + 1) / width,
        float(rows.max() + 1) / height,
        len(rows) / mask.size,
        prevailing_colour(image[rows, columns]),
        *_clothes(image, rows, columns),
    )


def _clothes(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[str, str]:
    """Colours of an upright object's trunk and legs, where it is tall and large enough to have both."""
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    if height < 1.2 * width or height < _LEAST_HEIGHT * len(image):
        return "", ""
    down = (rows - rows.min()) / height
    trunk, legs = (down > 0.22) & (down < 0.48), (down > 0.58) & (down < 0.88)
    upper, lower = (prevailing_colour(image[rows[one], columns[one]]) if one.any() else "" for one in (trunk, legs))
    return upper, lower


def prevailing_colour(pixels: np.ndarray) -> str:
    """The colour word for uint8 pixels (n, 3), or an empty text where none has a clear majority."""
    if len(pixels) > 2000:
        pixels = pixels[:: len(pixels) // 1000]
    values = pixels.astype(np.float32) / 255
    top, low = values.max(1), values.min(1)
    chroma = top - low
    saturation = chroma / np.maximum(top, 1e-3)
    red, green, blue = values.T
    safe = np.maximum(chroma, 1e-3)
    hue = np.where(
        top == red, (green - blue) / safe % 6, np.where(top == green, (blue - red) / safe + 2, (red - green) / safe + 4)
    )
    hue = hue * 60
    index = np.select(
        [
            top < 0.22,
            (saturation < 0.16) & (top > 0.78),
            saturation < 0.16,
            (hue < 14) | (hue >= 345),
            (hue < 42) & (top < 0.62),
            hue < 42,
            hue < 68,
            hue < 165,
            hue < 262,
            hue < 292,
        ],
        [0, 1, 2, 3, 10, 4, 5, 6, 7, 8],
        9,
    )
    counts = np.bincount(index, minlength=len(COLOURS))
    best = int(counts.argmax())
    return COLOURS[best] if counts[best] >= _CLEAR_COLOUR * len(pixels) else ""
