"""Backgrounds: calm enough that objects stay visible, varied enough that they are no trivial cue.

Every split has its own families, its own tints (slices of the hue circle) and its own grain, so that a model meets new
backgrounds when it is measured.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image

from .draws import SPLITS, Draws

_HUE_SLICES = {"train": (0, 1, 2, 4, 5, 7, 8, 10), "validation": (3, 9), "test": (6, 11)}
_GRAIN_SIZE = 512


@cache
def _grain(split: str) -> np.ndarray:
    """Fine noise, float32 (512, 512), unit variance, one field a split; scenes crop it at random places."""
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence((977, SPLITS.index(split)))))
    rough = generator.standard_normal((_GRAIN_SIZE, _GRAIN_SIZE)).astype(np.float32)
    soft = (rough + np.roll(rough, 1, 0) + np.roll(rough, 1, 1) + np.roll(rough, (1, 1), (0, 1))) / 2
    return np.stack([rough, soft])


@cache
def grid(extent: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres of a square in [-1, 1]: x (1, extent) and y (extent, 1), float32."""
    axis = (np.arange(extent, dtype=np.float32) + 0.5) * (2 / extent) - 1
    return axis[None, :], axis[:, None]


class _Painter:
    """What one background is painted with: the scene's draws, its split's hues, the extent in pixels."""

    def __init__(self, draws: Draws, split: str, extent: int) -> None:
        self.draws, self.split, self.extent = draws, split, extent

    def colour(self, low: float = 0.38, high: float = 0.74, saturation: float = 0.34) -> np.ndarray:
        """A muted colour of the split's hues, float32 (3,), 0 to 255."""
        hue = (self.draws.choice(_HUE_SLICES[self.split]) + self.draws.random()) / 12
        red, green, blue = colorsys.hsv_to_rgb(hue, self.draws.uniform(0.0, saturation), self.draws.uniform(low, high))
        return np.array([red, green, blue], np.float32) * 255

    def near(self, colour: np.ndarray, step: float) -> np.ndarray:
        """A colour some way off, brighter or darker and a little tinted."""
        shift = self.draws.uniform(0.55, 1.0) * step * (1 if self.draws.chance(0.5) else -1)
        tint = np.array([self.draws.uniform(-0.35, 0.35) * step for _ in range(3)], np.float32)
        return np.clip(colour + shift + tint, 68, 200)

    def blend(self, first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Picture (extent, extent, 3) between two colours, the second where share (extent, extent) is 1."""
        return first + (second - first) * share[..., None]

    def field(self, cells: int, channels: int = 1) -> np.ndarray:
        """Smooth noise in [0, 1): float32 (extent, extent) or (extent, extent, 3), `cells` cells a side."""
        shape = (cells, cells) if channels == 1 else (cells, cells, 3)
        small = Image.fromarray(self.draws.generator.integers(0, 256, shape, dtype=np.uint8))
        large = small.resize((self.extent, self.extent), Image.Resampling.BICUBIC)
        return np.asarray(large, np.float32) * (1 / 256)

    def octaves(self, cells: int, count: int) -> np.ndarray:
        """Noise of several octaves in about [0, 1]."""
        total = self.field(cells)
        for octave in range(1, count):
            total = total + (self.field(cells * 2**octave) - 0.5) * 0.55**octave
        return total


def _plain(p: _Painter) -> np.ndarray:
    return np.broadcast_to(p.colour(), (p.extent, p.extent, 3)).astype(np.float32)


def _linear_gradient(p: _Painter) -> np.ndarray:
    angle = p.draws.uniform(0, 2 * math.pi)
    x, y = grid(p.extent)
    first = p.colour()
    return p.blend(first, p.near(first, 70), 0.5 + 0.36 * (x * math.cos(angle) + y * math.sin(angle)))


def _clouds(p: _Painter) -> np.ndarray:
    first = p.colour()
    return p.blend(first, p.near(first, 85), p.octaves(p.draws.integer(3, 6), 3))


def _colour_field(p: _Painter) -> np.ndarray:
    return p.colour() + (p.field(p.draws.integer(3, 5), 3) - 0.5) * p.draws.uniform(50, 100)


def _landscape(p: _Painter) -> np.ndarray:
    x, y = grid(p.extent)
    sky, ground = p.colour(0.58, 0.78), p.colour(0.34, 0.58)
    horizon = (
        p.draws.uniform(-0.5, 0.5) + x * p.draws.uniform(-0.15, 0.15) + (p.field(6)[:1] - 0.5) * p.draws.uniform(0, 0.3)
    )
    share = np.clip(0.5 + (y - horizon) * p.draws.uniform(4, 22), 0, 1)
    depth = (12 * y)[..., None] + (p.octaves(5, 3) - 0.5)[..., None] * (20 + 35 * share)[..., None]
    return p.blend(sky, ground, share) + depth


def _bands(p: _Painter) -> np.ndarray:
    angle, wave = p.draws.uniform(0, math.pi), p.draws.uniform(6, 16)
    x, y = grid(p.extent)
    share = 0.5 + 0.5 * np.sin(wave * (x * math.cos(angle) + y * math.sin(angle)) + p.draws.uniform(0, 6))
    first = p.colour()
    return p.blend(first, p.near(first, 38), share)


def _tiles(p: _Painter) -> np.ndarray:
    wave, shift = p.draws.uniform(6, 14), p.draws.uniform(0, 6)
    x, y = grid(p.extent)
    share = np.clip(0.5 + 2.5 * np.sin(wave * x + shift) * np.sin(wave * y + shift), 0, 1)
    first = p.colour()
    return p.blend(first, p.near(first, 30), share)


def _blocks(p: _Painter) -> np.ndarray:
    cells = p.draws.integer(4, 9)
    small = p.draws.generator.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    blocks = Image.fromarray(small).resize((cells * 4, cells * 4), Image.Resampling.NEAREST)
    large = np.asarray(blocks.resize((p.extent, p.extent), Image.Resampling.BILINEAR), np.float32)
    return p.colour() + (large - 128) * p.draws.uniform(0.12, 0.3)


def _rings(p: _Painter) -> np.ndarray:
    x, y = grid(p.extent)
    distance = np.sqrt((x - p.draws.uniform(-1.5, 1.5)) ** 2 + (y - p.draws.uniform(-1.5, 1.5)) ** 2)
    first = p.colour()
    return p.blend(first, p.near(first, 38), 0.5 + 0.5 * np.sin(p.draws.uniform(8, 14) * distance))


def _radial_gradient(p: _Painter) -> np.ndarray:
    x, y = grid(p.extent)
    distance = np.sqrt((x - p.draws.uniform(-0.8, 0.8)) ** 2 + (y - p.draws.uniform(-0.8, 0.8)) ** 2)
    first = p.colour()
    return p.blend(first, p.near(first, 75), np.clip(distance * 0.65, 0, 1))


def _ridges(p: _Painter) -> np.ndarray:
    first = p.colour()
    ridged = 1 - np.abs(2 * p.octaves(p.draws.integer(3, 5), 3) - 1)
    return p.blend(first, p.near(first, 70), ridged)


def _hills(p: _Painter) -> np.ndarray:
    x, y = grid(p.extent)
    picture = p.colour(0.6, 0.78) + np.zeros((p.extent, p.extent, 1), np.float32) + 14 * y[..., None]
    for level in range(3):
        crest = (
            -0.45
            + 0.45 * level
            + 0.16 * np.sin(p.draws.uniform(2, 5) * x + p.draws.uniform(0, 6))
            + p.draws.uniform(-0.1, 0.1)
        )
        share = np.clip(0.5 + (y - crest) * 18, 0, 1)[..., None]
        picture = picture + (p.colour(0.36, 0.62) - picture) * share
    return picture + (p.field(p.extent // 6) - 0.5)[..., None] * 26


def _cells(p: _Painter) -> np.ndarray:
    extent = (p.extent + 1) // 2
    x, y = grid(extent)
    nearest = np.full((extent, extent), 9.0, np.float32)
    owner = np.zeros((extent, extent), np.uint8)
    count = p.draws.integer(6, 11)
    for cell in range(count):
        distance = (x - p.draws.uniform(-1.1, 1.1)) ** 2 + (y - p.draws.uniform(-1.1, 1.1)) ** 2
        closer = distance < nearest
        nearest[closer], owner[closer] = distance[closer], cell
    first = p.colour()
    colours = np.stack([p.near(first, 32) for _ in range(count)]).astype(np.uint8)
    picture = Image.fromarray(colours[owner]).resize((p.extent, p.extent), Image.Resampling.BILINEAR)
    return np.asarray(picture, np.float32)


def _waves(p: _Painter) -> np.ndarray:
    x, y = grid(p.extent)
    share = 0.5 + 0.25 * np.sin(p.draws.uniform(5, 11) * x + 2 * np.sin(p.draws.uniform(2, 4) * y))
    share = share + 0.25 * np.sin(p.draws.uniform(5, 11) * y + p.draws.uniform(0, 6))
    first = p.colour()
    return p.blend(first, p.near(first, 50), share)


def _bricks(p: _Painter) -> np.ndarray:
    x, y = grid(p.extent)
    rows = p.draws.integer(5, 9)
    height = (y + 1) * rows / 2
    along = (x + 1) * rows / 4 + 0.5 * (np.floor(height) % 2)
    gap_y, gap_x = np.abs(height % 1 - 0.5), np.abs(along % 1 - 0.5)
    joint = np.clip(np.maximum((gap_y - 0.42) * 14, (gap_x - 0.45) * 22), 0, 1)
    first = p.colour()
    return p.blend(first, p.near(first, 36), joint) + (p.field(rows * 2) - 0.5)[..., None] * 24


_Family = Callable[[_Painter], np.ndarray]
_FAMILIES: dict[str, tuple[_Family, ...]] = {
    "train": (_plain, _linear_gradient, _clouds, _colour_field, _landscape, _bands, _tiles, _blocks),
    "validation": (_plain, _linear_gradient, _colour_field, _landscape, _rings, _blocks),
    "test": (_radial_gradient, _ridges, _hills, _cells, _waves, _bricks),
}


def background_families(split: str) -> tuple[str, ...]:
    """Names of the background families that a split draws."""
    return tuple(family.__name__.strip("_") for family in _FAMILIES[split])


def paint_background(draws: Draws, split: str, extent: int) -> np.ndarray:
    """One background.

    Args:
        draws: the scene's random decisions.
        split: "train", "validation" or "test".
        extent: side in pixels.

    Returns:
        float32 (extent, extent, 3), 58 to 208.
    """
    picture = draws.choice(_FAMILIES[split])(_Painter(draws, split, extent))
    room = max(0, _GRAIN_SIZE - extent)
    top, left = draws.integer(0, room), draws.integer(0, room)
    grain = _grain(split)[draws.integer(0, 1), top : top + extent, left : left + extent]
    strength = draws.choice((0.0, 2.0, 4.0, 8.0))
    if strength:
        if extent > _GRAIN_SIZE:
            grain = np.pad(grain, (0, extent - _GRAIN_SIZE), mode="wrap")
        picture = picture + (grain * strength)[..., None]
    return np.clip(picture, 58, 208)
