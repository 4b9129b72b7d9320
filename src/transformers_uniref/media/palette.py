"""Label maps as palette images, the format of DAVIS and of most video annotation."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from ..processors.inputs import load_image, rgb_array
from .atomic import replacing


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
        raise ValueError(f"`labels` must be two-dimensional, (height, width), got shape {labels.shape}.")
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"`labels` must be of type bool or an integer type, got {labels.dtype}.")
    if labels.min() < 0 or labels.max() > 255:
        raise ValueError(f"`labels` must hold 0..255, got {labels.min()}..{labels.max()}.")
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
        raise ValueError(f"`path` must end in .png, got {os.fspath(path)}; label maps need a lossless palette format.")
    image = label_image(labels)
    with replacing(path) as partial:
        image.save(partial, format="PNG")


def load_label_map(path: str | os.PathLike[str], name: str = "mask") -> np.ndarray:
    """Reads a label map or a binary mask from an image file.

    A palette, grey or 1-bit image gives its stored values, except that a mask of 0 and 255 is one object, id 1. A
    colour image gives the indices of its colours in the DAVIS palette; black and white also counts as one object.

    Args:
        path: the file.
        name: the argument's name, for messages.

    Returns:
        uint8 (H, W), 0 = background, 1.. = object ids.

    Raises:
        ValueError: unreadable, of a lossy format (JPEG), with colours outside the palette or values above 255.
    """
    opened = load_image(path, name)
    assert isinstance(opened, Image.Image)
    if opened.format == "JPEG":
        raise ValueError(f"`{name}` must be of a lossless format such as PNG, got a JPEG, whose labels blur: {path}")
    coloured = len(opened.getbands()) > 1
    labels = _labels_from_colours(rgb_array(opened, name), path, name) if coloured else np.asarray(opened)
    if labels.dtype != np.bool_ and (labels.min() < 0 or labels.max() > 255):
        raise ValueError(f"`{name}` must hold 0..255, got {labels.min()}..{labels.max()}: {path}")
    labels = labels.astype(np.uint8)
    return (labels > 0).astype(np.uint8) if set(np.unique(labels)) <= {0, 255} else labels


def _labels_from_colours(rgb: np.ndarray, path: str | os.PathLike[str], name: str) -> np.ndarray:
    if (rgb == rgb[..., :1]).all() and set(np.unique(rgb)) <= {0, 255}:
        return rgb[..., 0]
    codes = rgb.astype(np.int64) @ (1 << 16, 1 << 8, 1)
    known = davis_palette().astype(np.int64) @ (1 << 16, 1 << 8, 1)
    order = np.argsort(known)
    places = order[np.searchsorted(known, codes, sorter=order).clip(max=255)]
    foreign = known[places] != codes
    if foreign.any():
        row, column = np.argwhere(foreign)[0]
        raise ValueError(
            f"`{name}` must be a label map, or coloured with the DAVIS palette, got the colour "
            f"{tuple(rgb[row, column].tolist())} at row {row}, column {column}: {path}"
        )
    return places
