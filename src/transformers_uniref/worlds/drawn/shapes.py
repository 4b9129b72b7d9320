"""Silhouettes of the procedural world: named shapes, shapes held out of training, and an endless family without names.

A silhouette is a few polygons around the origin (x to the right, y downwards), painted one after the other: later ones
may cut holes. Its scale makes shapes of equal radius look equally large, whatever their outline.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from ...core.errors import UsageError
from .draws import Draws

Contour = tuple[np.ndarray, bool]
"""Points (n, 2) and whether the inside is painted (True) or cut out (False)."""

_PROBE = 48


@dataclass(frozen=True, eq=False)
class Shape:
    """One silhouette.

    Attributes:
        name: the word for named shapes, the family for unnamed ones.
        contours: polygons in painting order, in units of the object's radius.
        reach: largest distance of a painted point from the origin, in the same unit.
        tilt: largest rotation, in degrees, that leaves the shape what its name says in a still picture.
        probe: bool (48, 48), the silhouette over [-1.5, 1.5]², to compare shapes.
    """

    name: str
    contours: tuple[Contour, ...]
    reach: float
    tilt: float
    probe: np.ndarray


def similarity(first: Shape, second: Shape) -> float:
    """Intersection over union of two upright silhouettes, in [0, 1]."""
    union = np.count_nonzero(first.probe | second.probe)
    return float(np.count_nonzero(first.probe & second.probe)) / union if union else 1.0


def paint_coverage(
    contours: tuple[Contour, ...], matrix: np.ndarray, centre: tuple[float, float], extent: int, oversampling: int
) -> np.ndarray:
    """Share of each pixel that a silhouette covers.

    Args:
        contours: the polygons, in shape units.
        matrix: (2, 2) from shape units to pixels, applied to row vectors.
        centre: (x, y) of the origin in pixels; pixel i spans [i, i + 1].
        extent: side of the square patch in pixels.
        oversampling: sub-pixels a pixel along each axis.

    Returns:
        uint8 (extent, extent), 0 uncovered to 255 covered.
    """
    patch = Image.new("L", (extent * oversampling, extent * oversampling))
    draw = ImageDraw.Draw(patch)
    scaled = matrix * oversampling
    offset = (centre[0] * oversampling - 0.5, centre[1] * oversampling - 0.5)
    for points, painted in contours:
        draw.polygon((points @ scaled + offset).ravel().tolist(), fill=255 if painted else 0)
    return np.asarray(patch.reduce(oversampling) if oversampling > 1 else patch)


def _build(name: str, contours: list[Contour], tilt: float, turn: float = 0.0) -> Shape:
    """Centres and scales raw polygons: the scale is the geometric mean of "equal area" and "equal reach"."""
    if turn:
        cosine, sine = math.cos(turn), math.sin(turn)
        rotation = np.array([[cosine, sine], [-sine, cosine]])
        contours = [(points @ rotation, painted) for points, painted in contours]
    painted_points = np.concatenate([points for points, painted in contours if painted])
    middle = (painted_points.min(0) + painted_points.max(0)) / 2
    contours = [(points - middle, painted) for points, painted in contours]
    reach = float(np.sqrt(((painted_points - middle) ** 2).sum(1).max()))
    scale = np.eye(2) * (_PROBE / 3 / reach)
    coverage = paint_coverage(tuple(contours), scale, (_PROBE / 2, _PROBE / 2), _PROBE, 1)
    area = np.count_nonzero(coverage) * (3 * reach / _PROBE) ** 2
    by_area = math.sqrt(0.62 * math.pi / area)
    factor = math.sqrt(by_area / reach)
    contours = [(points * factor, painted) for points, painted in contours]
    probe = paint_coverage(tuple(contours), np.eye(2) * (_PROBE / 3), (_PROBE / 2, _PROBE / 2), _PROBE, 1) >= 128
    return Shape(name, tuple(contours), reach * factor, tilt, probe)


def _arc(radius: float, start: float, stop: float, count: int, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    """Points on an arc; angles in degrees, clockwise on the screen, 0 to the right."""
    angles = np.radians(np.linspace(start, stop, count))
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)


def _disc(radius: float, x: float = 0.0, y: float = 0.0, count: int = 36) -> np.ndarray:
    return _arc(radius, 0.0, 360.0 - 360.0 / count, count, x, y)


def _rectangle(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], float)


def _points(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, float)


def _star_points(count: int, inner: float) -> np.ndarray:
    angles = np.radians(-90 + np.arange(2 * count) * 180 / count)
    radii = np.where(np.arange(2 * count) % 2 == 0, 1.0, inner)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1)


def _heart_points() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x, y], 1) / 16


def _moon_points() -> np.ndarray:
    outer = _arc(1.0, 55, 305, 32)
    inner_centre, tip = 0.62, outer[0]
    radius = math.hypot(tip[0] - inner_centre, tip[1])
    half = math.degrees(math.atan2(tip[1], tip[0] - inner_centre))
    inner = _arc(radius, 360 - half, half, 24, inner_centre, 0.0)
    return np.concatenate([outer, inner])


_NAMED: dict[str, tuple[Callable[[], list[Contour]], float]] = {
    "circle": (lambda: [(_disc(1.0, count=44), True)], 180),
    "square": (lambda: [(_rectangle(-1, -1, 1, 1), True)], 12),
    "triangle": (lambda: [(_points((0, -1), (1.05, 0.85), (-1.05, 0.85)), True)], 25),
    "star": (lambda: [(_star_points(5, 0.42), True)], 35),
    "cross": (
        lambda: [(_rectangle(-0.33, -1, 0.33, 1), True), (_rectangle(-1, -0.33, 1, 0.33), True)],
        14,
    ),
    "ring": (lambda: [(_disc(1.0, count=44), True), (_disc(0.52), False)], 180),
    "heart": (lambda: [(_heart_points(), True)], 25),
    "moon": (lambda: [(_moon_points(), True)], 35),
    "arrow": (
        lambda: [
            (_points((-1, -0.27), (0.1, -0.27), (0.1, -0.8), (1.05, 0), (0.1, 0.8), (0.1, 0.27), (-1, 0.27)), True)
        ],
        180,
    ),
    "diamond": (lambda: [(_points((0, -1.05), (0.66, 0), (0, 1.05), (-0.66, 0)), True)], 14),
    "dome": (lambda: [(_arc(1.0, 180, 360, 28), True)], 20),
    "bow": (
        lambda: [
            (
                _points(
                    (-1, -0.72),
                    (-0.12, -0.16),
                    (0.12, -0.16),
                    (1, -0.72),
                    (1, 0.72),
                    (0.12, 0.16),
                    (-0.12, 0.16),
                    (-1, 0.72),
                ),
                True,
            )
        ],
        20,
    ),
}


def _fish() -> list[Contour]:
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    body = np.stack([0.68 * np.cos(angles) - 0.25, 0.46 * np.sin(angles)], 1)
    tail = _points((0.22, 0), (1.0, -0.55), (0.8, 0), (1.0, 0.55))
    return [(body, True), (tail, True), (_disc(0.11, -0.58, -0.1, 12), False)]


def _leaf() -> list[Contour]:
    upper, lower = _arc(1.25, 220, 320, 20, 0, 0.8), _arc(1.25, 40, 140, 20, 0, -0.8)
    stem = _points((0.85, -0.09), (1.42, -0.09), (1.42, 0.09), (0.85, 0.09))
    vein = _points((-0.6, -0.05), (0.45, -0.05), (0.45, 0.05), (-0.6, 0.05))
    return [(np.concatenate([upper, lower]), True), (stem, True), (vein, False)]


_NOVEL: dict[str, tuple[Callable[[], list[Contour]], float]] = {
    "house": (
        lambda: [
            (
                _points(
                    (-0.72, 0.95), (-0.72, -0.05), (-1.0, -0.05), (0, -1.0), (1.0, -0.05), (0.72, -0.05), (0.72, 0.95)
                ),
                True,
            ),
            (_rectangle(-0.2, 0.3, 0.2, 1.0), False),
        ],
        14,
    ),
    "fish": (_fish, 22),
    "key": (
        lambda: [
            (_disc(0.52, -0.62, 0), True),
            (_rectangle(-0.2, -0.15, 1.2, 0.15), True),
            (_rectangle(0.86, 0.0, 1.12, 0.52), True),
            (_rectangle(0.46, 0.0, 0.7, 0.42), True),
            (_disc(0.22, -0.62, 0, 20), False),
        ],
        25,
    ),
    "bolt": (
        lambda: [
            (
                _points(
                    (0.15, -1.1), (-0.62, 0.18), (-0.08, 0.18), (-0.3, 1.1), (0.62, -0.3), (0.08, -0.3), (0.5, -1.1)
                ),
                True,
            )
        ],
        15,
    ),
    "leaf": (_leaf, 30),
    "bottle": (
        lambda: [
            (
                _points(
                    (-0.2, -1.15),
                    (0.2, -1.15),
                    (0.2, -0.5),
                    (0.48, -0.2),
                    (0.48, 1.1),
                    (-0.48, 1.1),
                    (-0.48, -0.2),
                    (-0.2, -0.5),
                ),
                True,
            ),
            (_rectangle(-0.3, -1.2, 0.3, -0.98), True),
        ],
        18,
    ),
}

NAMED_SHAPES = tuple(_NAMED)
"""Shapes that sentences can name."""

NOVEL_SHAPES = tuple(_NOVEL)
"""Shapes that no train split draws, for measuring few-shot segmentation of new categories."""


@cache
def named_shape(name: str) -> Shape:
    """The silhouette of one of `NAMED_SHAPES` or `NOVEL_SHAPES`.

    Raises:
        ValueError: for any other name.
    """
    entry = _NAMED.get(name) or _NOVEL.get(name)
    if entry is None:
        raise UsageError(f"name must be one of {NAMED_SHAPES + NOVEL_SHAPES}, got {name!r}")
    return _build(name, entry[0](), entry[1])


def _blob(draws: Draws) -> list[Contour]:
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radii = np.ones(48)
    for harmonic in (2, 3, 4, 5):
        radii += draws.uniform(0.02, 0.42 / (harmonic - 0.9) ** 0.7) * np.cos(
            harmonic * angles + draws.uniform(0, 2 * np.pi)
        )
    radii = np.maximum(radii, 0.2)
    return [(np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1), True)]


def _polygon(draws: Draws) -> list[Contour]:
    count = draws.integer(5, 9)
    angles = [(corner + draws.uniform(-0.3, 0.3)) * 2 * math.pi / count for corner in range(count)]
    radii = [draws.uniform(0.35, 1.0) for _ in range(count)]
    return [(_points(*((r * math.cos(a), r * math.sin(a)) for r, a in zip(radii, angles, strict=True))), True)]


def _gear(draws: Draws) -> list[Contour]:
    teeth, inner, duty = draws.integer(5, 9), draws.uniform(0.6, 0.76), draws.uniform(0.4, 0.6)
    corners = []
    for tooth in range(teeth):
        for share, radius in ((0, inner), (0, 1.0), (duty, 1.0), (duty, inner)):
            angle = (tooth + share) * 2 * math.pi / teeth
            corners.append((radius * math.cos(angle), radius * math.sin(angle)))
    contours: list[Contour] = [(_points(*corners), True)]
    if draws.chance(0.5):
        contours.append((_disc(draws.uniform(0.2, 0.36)), False))
    return contours


def _rays(draws: Draws) -> list[Contour]:
    return [(_star_points(draws.choice((4, 6, 7, 8)), draws.uniform(0.3, 0.55)), True)]


def _spiral(draws: Draws) -> list[Contour]:
    turns, width = draws.uniform(1.2, 1.65), draws.uniform(0.24, 0.32)
    angles = np.linspace(0, turns * 2 * np.pi, 56)
    middle = 0.18 + (0.82 - 0.18) * angles / angles[-1]
    direction = np.stack([np.cos(angles), np.sin(angles)], 1)
    outer, inner = direction * (middle + width / 2)[:, None], direction * np.maximum(middle - width / 2, 0.02)[:, None]
    path = np.concatenate([outer, inner[::-1]])
    if draws.chance(0.5):
        path = path * (-1, 1)
    return [(path, True)]


def _keyhole(draws: Draws) -> list[Contour]:
    radius, top, foot = draws.uniform(0.42, 0.6), draws.uniform(0.12, 0.25), draws.uniform(0.3, 0.7)
    contours: list[Contour] = [
        (_disc(radius, 0, -0.5), True),
        (_points((-top, -0.4), (top, -0.4), (foot, 1.0), (-foot, 1.0)), True),
    ]
    if draws.chance(0.4):
        contours.append((_disc(radius * 0.45, 0, -0.5, 20), False))
    return contours


def _cells(draws: Draws) -> list[Contour]:
    cells = {(draws.integer(0, 2), draws.integer(0, 2))}
    count = draws.integer(4, 7)
    while len(cells) < count:
        x, y = draws.choice(sorted(cells))
        dx, dy = draws.choice(((1, 0), (-1, 0), (0, 1), (0, -1)))
        if 0 <= x + dx < 3 and 0 <= y + dy < 3:
            cells.add((x + dx, y + dy))
    return [(_rectangle(x - 0.02, y - 0.02, x + 1.02, y + 1.02), True) for x, y in sorted(cells)]


def _wedge(draws: Draws) -> list[Contour]:
    opening = draws.uniform(50, 150)
    return [(np.concatenate([_arc(1.0, opening / 2, 360 - opening / 2, 36), np.zeros((1, 2))]), True)]


def _open_ring(draws: Draws) -> list[Contour]:
    opening, inner = draws.uniform(60, 130), draws.uniform(0.4, 0.6)
    start, stop = opening / 2, 360 - opening / 2
    return [(np.concatenate([_arc(1.0, start, stop, 32), _arc(inner, stop, start, 28)]), True)]


def _lobes(draws: Draws) -> list[Contour]:
    count, distance = draws.integer(3, 6), draws.uniform(0.55, 0.68)
    radius = distance * math.sin(math.pi / count) * draws.uniform(0.85, 1.1)
    contours: list[Contour] = [(_disc(distance * draws.uniform(0.7, 0.9), count=24), True)]
    for lobe in range(count):
        angle = lobe * 2 * math.pi / count
        contours.append((_disc(radius, distance * math.cos(angle), distance * math.sin(angle), 20), True))
    return contours


def _dumbbell(draws: Draws) -> list[Contour]:
    left, right, bar = draws.uniform(0.32, 0.5), draws.uniform(0.32, 0.5), draws.uniform(0.12, 0.2)
    first = _disc(left, -0.65, 0, 24) if draws.chance(0.5) else _rectangle(-0.65 - left, -left, -0.65 + left, left)
    second = _disc(right, 0.65, 0, 24) if draws.chance(0.5) else _rectangle(0.65 - right, -right, 0.65 + right, right)
    return [(first, True), (second, True), (_rectangle(-0.65, -bar, 0.65, bar), True)]


_FAMILIES: dict[str, Callable[[Draws], list[Contour]]] = {
    "blob": _blob,
    "polygon": _polygon,
    "gear": _gear,
    "rays": _rays,
    "spiral": _spiral,
    "keyhole": _keyhole,
    "cells": _cells,
    "wedge": _wedge,
    "open ring": _open_ring,
    "lobes": _lobes,
    "dumbbell": _dumbbell,
}


def random_shape(draws: Draws) -> Shape:
    """An unnamed shape from an endless family (blobs, polygons, gears, spirals, keyholes, polyominoes, ...)."""
    family = draws.choice(tuple(_FAMILIES))
    return _build(family, _FAMILIES[family](draws), 22, turn=draws.uniform(0, 2 * math.pi))
