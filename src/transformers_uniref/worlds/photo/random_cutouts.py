"""Random cut-outs: nameless pieces of photographs, of any outline, that bend a little while they travel.

A folder shows few objects. Whoever learns to follow them alone follows what it knows; random cut-outs have no name, no
usual outline and often several surfaces, so that only the reference tells what belongs to them.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from ...core.mask_boxes import box_around
from ..drawn.draws import Draws
from ..drawn.shapes import NAMED_SHAPES, named_shape, paint_coverage, random_shape
from .base import SceneSource
from .folder import CutOut
from .scene import PastedObject, make_pasted_object

_EXTENT = 112
"""Side of the patch that a random cut-out is drawn in, in pixels."""

_LEAST_AREA = 300


def _draw_coverage(draws: Draws, radius: float, x: float, y: float) -> np.ndarray:
    """One outline around (x, y) in a patch: float32 (extent, extent), 0 to 1."""
    shape = random_shape(draws) if draws.chance(0.65) else named_shape(draws.choice(NAMED_SHAPES))
    scale = radius * _EXTENT / max(shape.reach, 1.0)
    turn, squeeze = draws.uniform(0, 2 * math.pi), draws.uniform(0.6, 1.0)
    cosine, sine = math.cos(turn) * scale, math.sin(turn) * scale
    matrix = np.array([[cosine * squeeze, sine], [-sine * squeeze, cosine]])
    centre = (x * _EXTENT, y * _EXTENT)
    return paint_coverage(shape.contours, matrix, centre, _EXTENT, 3).astype(np.float32) * np.float32(1 / 255)


def _draw_surface(draws: Draws, source: SceneSource) -> np.ndarray:
    """A piece of a photograph: float32 (extent, extent, 3), 0 to 255."""
    sequence = draws.choice(source.sequences)
    last = len(source.folder.sequences[sequence].frames) - 1
    photo = source.folder.photo(sequence, draws.integer(0, last)).image
    side = draws.uniform(0.15, 0.75) * min(photo.size)
    left, top = draws.uniform(0, photo.width - side), draws.uniform(0, photo.height - side)
    piece = photo.resize((_EXTENT, _EXTENT), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    surface = np.asarray(piece, np.float32)
    if draws.chance(0.5):
        # Surfaces as dark, as pale or as tinted as no place of the folder is.
        tint = np.array([draws.uniform(0.8, 1.2) for _ in range(3)], np.float32)
        surface = (surface - 128) * draws.uniform(0.5, 1.2) + 128 + draws.uniform(-60, 60)
        surface = np.clip(surface * tint, 0, 255)
    return surface


def _draw_cutout(draws: Draws, source: SceneSource) -> Image.Image | None:
    """RGBA: a body and up to two limbs, each of which may have a surface of its own."""
    alpha = _draw_coverage(draws, draws.uniform(0.28, 0.42), 0.5, 0.5)
    picture = _draw_surface(draws, source)
    for _ in range(draws.weighted((0, 1, 2), (0.45, 0.35, 0.2))):
        angle, away = draws.uniform(0, 2 * math.pi), draws.uniform(0.12, 0.26)
        x, y = 0.5 + away * math.cos(angle), 0.5 + away * math.sin(angle)
        limb = _draw_coverage(draws, draws.uniform(0.12, 0.22), x, y)
        if draws.chance(0.6):
            picture = picture + (_draw_surface(draws, source) - picture) * limb[..., None]
        alpha = np.maximum(alpha, limb)
    if int(np.count_nonzero(alpha >= 0.5)) < _LEAST_AREA:
        return None
    return Image.fromarray(np.concatenate([picture, alpha[..., None] * 255], axis=2).astype(np.uint8))


def _bent(draws: Draws, picture: Image.Image, count: int) -> tuple[CutOut, ...]:
    """The cut-out in `count` frames: stiff, or with corners that sway."""
    if count == 1 or draws.chance(0.3):
        return (_cut(picture),) * count
    swing, rate = draws.uniform(0.02, 0.1) * _EXTENT, draws.uniform(0.25, 0.7)
    phases = [draws.uniform(0, 2 * math.pi) for _ in range(8)]
    corners = (0, 0, 0, _EXTENT, _EXTENT, _EXTENT, _EXTENT, 0)
    bent = []
    for step in range(count):
        quad = [corner + swing * math.sin(rate * step + phase) for corner, phase in zip(corners, phases, strict=True)]
        image = picture.transform(picture.size, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)
        bent.append(_cut(image))
    return tuple(bent)


def _cut(image: Image.Image) -> CutOut:
    """Without the empty border; what is cut off at the patch's border stays a straight edge."""
    array = np.asarray(image)[..., 3]
    box = box_around(array >= 8)
    if box is None:
        return CutOut(image, 0)
    return CutOut(image.crop(box), int(np.count_nonzero(array >= 128)))


def draw_random_cutout(
    draws: Draws, source: SceneSource, count: int, brightness: float, largest: float
) -> PastedObject | None:
    """A random cut-out for a clip of `count` frames; `None` where the outline came out too thin."""
    picture = _draw_cutout(draws, source)
    if picture is None:
        return None
    cutouts = _bent(draws, picture, count)
    return make_pasted_object(draws, "", cutouts, tuple(range(count)), source.size, brightness, largest)
