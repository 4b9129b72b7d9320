"""Resizing, cropping and flipping of pictures with the masks and boxes on them, and of the words for left and right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...core.masks import nearest_resize
from ...processors.image_sizes import resized_size
from ..config.data import DatasetConfig


@dataclass
class Picture:
    """A picture and what lies on it.

    Attributes:
        image: (H, W, 3) uint8.
        masks: (n, H, W) bool.
        boxes: (m, 4) float, [x0, y0, x1, y1] in pixels, of objects without masks.
    """

    image: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True)
class Geometry:
    """What is done to every frame of a sample, in this order.

    Attributes:
        first: (height, width) of a first resizing, or None.
        window: (top, left, height, width) to cut out, or None.
        size: final (height, width).
        flip: mirror left and right.
    """

    first: tuple[int, int] | None
    window: tuple[int, int, int, int] | None
    size: tuple[int, int]
    flip: bool


def draw_geometry(
    config: DatasetConfig, size: tuple[int, int], rng: np.random.Generator, crop: bool = True, flip: bool | None = None
) -> Geometry:
    """Draw how pictures of `size` (height, width) are prepared.

    Args:
        config: the dataset: `short_sides`, `longest_side`, `crop`, `flip`.
        rng: source of randomness; equally many numbers are drawn with and without `crop`.
        crop: False leaves the cropping out.
        flip: decided already; None draws it.
    """
    short = int(rng.choice(config.short_sides))
    flipped = bool(rng.random() < config.flip)
    cropped = bool(rng.random() < config.crop.probability)
    first_short, *shares = int(rng.choice(config.crop.short_sides or [0])), *rng.random(4)
    first = window = None
    final_of = size
    if crop and cropped:
        first = resized_size(*size, {"shortest_edge": first_short}) if first_short else None
        window = _draw_window(config, first or size, shares)
        final_of = window[2:]
    rule = {"shortest_edge": short, "longest_edge": config.longest_side}
    return Geometry(first, window, resized_size(*final_of, rule), flipped if flip is None else flip)


def _draw_window(config: DatasetConfig, size: tuple[int, int], shares: Sequence[float]) -> tuple[int, int, int, int]:
    """A window with both sides between `crop.least` and `crop.most`, as far as the picture reaches."""
    sides = []
    for side, share in zip(size, shares[:2], strict=True):
        least, most = min(config.crop.least, side), min(config.crop.most, side)
        sides.append(least + int(share * (most - least + 1)))
    top, left = (int(share * (side - cut + 1)) for share, side, cut in zip(shares[2:], size, sides, strict=True))
    return top, left, sides[0], sides[1]


def apply_geometry(geometry: Geometry, picture: Picture) -> Picture:
    """Prepare one frame."""
    if geometry.first is not None:
        picture = resize(picture, geometry.first)
    if geometry.window is not None:
        picture = cut(picture, geometry.window)
    picture = resize(picture, geometry.size)
    return mirror(picture) if geometry.flip else picture


def resize(picture: Picture, size: tuple[int, int]) -> Picture:
    """Bilinear with antialiasing as in the processor, masks by their nearest pixel."""
    if size == picture.size:
        return picture
    height, width = picture.size
    image = np.asarray(Image.fromarray(picture.image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
    scale = np.array([size[1] / width, size[0] / height] * 2)
    return Picture(image, nearest_resize(picture.masks, size), picture.boxes * scale)


def cut(picture: Picture, window: tuple[int, int, int, int]) -> Picture:
    """The part (top, left, height, width); boxes are clipped to it."""
    top, left, height, width = window
    rows, columns = slice(top, top + height), slice(left, left + width)
    boxes = (picture.boxes - [left, top, left, top]).clip(0, [width, height, width, height])
    return Picture(picture.image[rows, columns], picture.masks[:, rows, columns], boxes)


def mirror(picture: Picture) -> Picture:
    """Left and right exchanged."""
    width = picture.size[1]
    x0, y0, x1, y1 = picture.boxes.T
    boxes = np.stack([width - x1, y0, width - x0, y1], axis=1)
    return Picture(picture.image[:, ::-1], picture.masks[:, :, ::-1], boxes)
