"""Label maps as palette images, the format of DAVIS and of most video annotation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from .atomic import replacing
from .errors import UsageError


def davis_palette() -> np.ndarray:
    """The 256 colours of the DAVIS (and PASCAL VOC) palette, uint8 (256, 3): 0 is black, 1 dark red, 2 dark green.

    Bits 0, 1, 2 of an index become the highest bit of red, green, blue, bits 3, 4, 5 the next lower one, and so on, so
    that neighbouring indices differ strongly.
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for digit in range(3):
        for channel in range(3):
            bit = (index >> (3 * digit + channel)) & 1
            palette[:, channel] |= (bit << (7 - digit)).astype(np.uint8)
    return palette


COLOUR_BLIND_SAFE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Colours that people with a colour vision deficiency tell apart: those of Okabe and Ito (2008) but black."""


def colour_blind_safe(object_id: int) -> tuple[int, int, int]:
    """The colour of an object in plots, RGB 0 to 255; from the eighth object on colours come again.

    Args:
        object_id: 1 or more.
    """
    return COLOUR_BLIND_SAFE[(object_id - 1) % len(COLOUR_BLIND_SAFE)]


def label_image(labels: np.ndarray) -> Image.Image:
    """A label map as a palette image.

    Args:
        labels: bool or integer (H, W) of 0..255, 0 = background.

    Returns:
        An image of mode P with the DAVIS palette, whose pixel values are the labels.

    Raises:
        ValueError: not two-dimensional, not integers, or values outside 0..255.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or 0 in labels.shape:
        raise UsageError(f"`labels` must be two-dimensional, (height, width), got shape {labels.shape}.")
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"`labels` must be of type bool or an integer type, got {labels.dtype}.")
    if labels.min() < 0 or labels.max() > 255:
        raise UsageError(f"`labels` must hold 0..255, got {labels.min()}..{labels.max()}.")
    image = Image.fromarray(np.ascontiguousarray(labels, dtype=np.uint8))
    image.putpalette(davis_palette().tobytes())
    return image


def save_label_map(path: str | os.PathLike[str], labels: np.ndarray) -> None:
    """Writes a label map as a PNG of mode P with the DAVIS palette, whole or not at all.

    Args:
        path: a name that ends in `.png`.
        labels: see `label_image`.

    Raises:
        ValueError: see `label_image`; another suffix (other formats lose labels).
    """
    if Path(path).suffix.lower() != ".png":
        raise UsageError(f"`path` must end in .png, got {os.fspath(path)}; label maps need a lossless palette format.")
    image = label_image(labels)
    with replacing(path) as partial:
        image.save(partial, format="PNG")
