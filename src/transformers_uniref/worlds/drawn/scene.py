"""Objects of a scene and how they are drawn: silhouettes, overlap, surfaces, shadow and light."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .backgrounds import grid
from .draws import Draws
from .shapes import NAMED_SHAPES, Shape, named_shape, paint_coverage
from .textures import COLOURS, TEXTURES, paint_pair, pattern_strength

SIZES = ("small", "big")

RADIUS = {"small": (0.125, 0.142), "big": (0.2, 0.235)}
_TEXTURE_WEIGHTS = (0.46, 0.2, 0.16, 0.18)
LEAST_VISIBLE = 0.45
"""Share of its silhouette that every object of a still scene shows."""


@dataclass(frozen=True)
class Look:
    """What an object looks like, apart from where it is.

    Attributes:
        shape: category; a word for named shapes.
        colour, texture, size: words of `COLOURS`, `TEXTURES`, `SIZES`.
        radius: in image sides.
        silhouette: what is drawn.
        paint: float32 (2, 3), body and pattern colour.
        phase: shift of the pattern, radians.
        squeeze: width against height of unnamed shapes, 1 for named ones.
    """

    shape: str
    colour: str
    texture: str
    size: str
    radius: float
    silhouette: Shape
    paint: np.ndarray
    phase: tuple[float, float]
    squeeze: float = 1.0


@dataclass(frozen=True)
class Pose:
    """Where an object is: centre in image sides (x, y), rotation in radians (clockwise), scale of its radius."""

    x: float
    y: float
    rotation: float
    scale: float = 1.0


@dataclass(frozen=True)
class Sprite:
    """An object's silhouette in a square patch of a picture.

    Attributes:
        left, top: picture coordinates of the patch's first pixel; may lie outside.
        coverage: uint8 (extent, extent), share of each pixel that is covered.
        solid: bool (extent, extent), covered by at least one half: what masks call the object.
        area: solid pixels, those outside the picture included.
    """

    look: Look
    pose: Pose
    left: int
    top: int
    centre: tuple[float, float]
    coverage: np.ndarray
    solid: np.ndarray
    area: int


@dataclass(frozen=True)
class Layout:
    """Sprites of one picture in painting order and who owns which pixel.

    Attributes:
        sprites: painted one after the other.
        owner: int8 (size, size), index of the topmost sprite, -1 for the background.
        visible: for each sprite, the number of pixels it owns.
    """

    sprites: tuple[Sprite, ...]
    owner: np.ndarray
    visible: tuple[int, ...]


def draw_look(
    draws: Draws,
    shape: str | None = None,
    colour: str | None = None,
    texture: str | None = None,
    size: str | None = None,
    silhouette: Shape | None = None,
) -> Look:
    """A look with the given attributes, the others drawn at random."""
    shape = shape or draws.choice(NAMED_SHAPES)
    colour = colour or draws.choice(tuple(COLOURS))
    texture = texture or draws.weighted(TEXTURES, _TEXTURE_WEIGHTS)
    size = size or draws.choice(SIZES)
    return Look(
        shape=shape,
        colour=colour,
        texture=texture,
        size=size,
        radius=draws.uniform(*RADIUS[size]),
        silhouette=silhouette or named_shape(shape),
        paint=paint_pair(colour, draws),
        phase=(draws.uniform(0, 2 * math.pi), draws.uniform(0, 2 * math.pi)),
        squeeze=1.0 if silhouette is None else draws.uniform(0.92, 1.08),
    )


def draw_pose(draws: Draws, look: Look) -> Pose:
    """A place inside the picture (up to a twelfth of the object may stick out) and a rotation that keeps its name."""
    edge = look.radius * 0.85
    turn = math.radians(look.silhouette.tilt)
    return Pose(draws.uniform(edge, 1 - edge), draws.uniform(edge, 1 - edge), draws.uniform(-turn, turn))


def make_sprite(look: Look, pose: Pose, size: int) -> Sprite:
    """Draws the silhouette of an object into a patch around its place in a picture of `size` pixels a side."""
    radius = look.radius * pose.scale * size
    half = math.ceil(radius * look.silhouette.reach * max(1.0, look.squeeze)) + 1
    left, top = math.floor(pose.x * size) - half, math.floor(pose.y * size) - half
    centre = (pose.x * size - left, pose.y * size - top)
    cosine, sine = math.cos(pose.rotation) * radius, math.sin(pose.rotation) * radius
    matrix = np.array([[cosine * look.squeeze, sine * look.squeeze], [-sine, cosine]])
    extent = 2 * half + 1
    coverage = paint_coverage(look.silhouette.contours, matrix, centre, extent, 4 if extent < 64 else 3)
    solid = coverage >= 128
    return Sprite(look, pose, left, top, centre, coverage, solid, int(np.count_nonzero(solid)))


def moved(sprite: Sprite, pose: Pose, size: int) -> Sprite:
    """The same silhouette shifted by whole pixels to about another place."""
    left = sprite.left + round((pose.x - sprite.pose.x) * size)
    top = sprite.top + round((pose.y - sprite.pose.y) * size)
    x = sprite.pose.x + (left - sprite.left) / size
    y = sprite.pose.y + (top - sprite.top) / size
    return replace(sprite, left=left, top=top, pose=replace(sprite.pose, x=x, y=y))


def overlap(
    left: int, top: int, shape: tuple[int, ...], size: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    """The part of a patch inside the picture: slices of the picture and of the patch."""
    x0, x1 = max(left, 0), min(left + shape[1], size)
    y0, y1 = max(top, 0), min(top + shape[0], size)
    if x0 >= x1 or y0 >= y1:
        return None
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))


def _windows(sprite: Sprite, size: int) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
    return overlap(sprite.left, sprite.top, sprite.coverage.shape, size)


def stack_sprites(sprites: Sequence[Sprite], size: int) -> Layout:
    """Lays sprites over each other, the last on top."""
    owner = np.full((size, size), -1, np.int8)
    for index, sprite in enumerate(sprites):
        windows = _windows(sprite, size)
        if windows:
            owner[windows[0]][sprite.solid[windows[1]]] = index
    counts = np.bincount((owner + 1).ravel(), minlength=len(sprites) + 1)
    return Layout(tuple(sprites), owner, tuple(int(count) for count in counts[1:]))


def _beside(draws: Draws, other: Sprite, look: Look, pose: Pose) -> Pose:
    """A place where the object overlaps or touches another one, kept inside the picture."""
    angle, edge = draws.uniform(0, 2 * math.pi), look.radius * 0.85
    distance = draws.uniform(0.45, 0.95) * (look.radius + other.look.radius)
    x, y = other.pose.x + distance * math.cos(angle), other.pose.y + distance * math.sin(angle)
    return replace(pose, x=min(max(x, edge), 1 - edge), y=min(max(y, edge), 1 - edge))


def place_objects(looks: Sequence[Look], draws: Draws, size: int, touching: float = 0.4, attempts: int = 14) -> Layout:
    """Finds places for objects so that each shows at least `LEAST_VISIBLE` of its silhouette.

    Overlap is welcome as long as that holds; depths are random, whatever the order of the looks. An object for which
    no place is found in `attempts` trials is left out, which the returned layout shows; the first object always stays.
    `touching` is the share of objects put where they touch or overlap another one.
    """
    placed: list[tuple[float, Sprite]] = []
    layout = stack_sprites((), size)
    for look in looks:
        depth = draws.random()
        sprite = make_sprite(look, draw_pose(draws, look), size)
        beside = bool(placed) and draws.chance(touching)
        spacing = 0.3 if beside else draws.choice((0.6, 0.8, 1.0))
        for _ in range(attempts):
            pose = draw_pose(draws, look)
            if beside:
                pose = _beside(draws, draws.choice(placed)[1], look, pose)
            crowded = any(
                math.hypot(pose.x - other.pose.x, pose.y - other.pose.y) < spacing * (look.radius + other.look.radius)
                for _, other in placed
            )
            if crowded:
                continue
            trial = moved(sprite, pose, size)
            deeper_first = sorted([*placed, (depth, trial)], key=lambda one: one[0])
            candidate = stack_sprites([one for _, one in deeper_first], size)
            enough = all(
                count >= LEAST_VISIBLE * one.area
                for count, one in zip(candidate.visible, candidate.sprites, strict=True)
            )
            if enough:
                placed.append((depth, trial))
                layout = candidate
                break
    return layout


def draw_light(draws: Draws, size: int) -> np.ndarray:
    """A slight gradient of brightness over the picture: float32 (size, size, 1), about 0.85 to 1.1."""
    angle, slope = draws.uniform(0, 2 * math.pi), draws.uniform(0, 0.11)
    x, y = grid(size)
    plane = draws.uniform(0.92, 1.04) + x * (slope * math.cos(angle)) + y * (slope * math.sin(angle))
    return plane[..., None]


def draw_shadow(draws: Draws) -> tuple[int, int, float]:
    """Shift in pixels of a 128-pixel picture (x, y) and strength of the objects' shadows; often none."""
    if not draws.chance(0.35):
        return 0, 0, 0.0
    return draws.choice((-3, -2, 2, 3)), draws.choice((1, 2, 3)), draws.uniform(0.12, 0.3)


def paint_layout(
    canvas: np.ndarray, layout: Layout, light: np.ndarray, shadow: tuple[int, int, float] = (0, 0, 0.0)
) -> np.ndarray:
    """Paints sprites on a background.

    Args:
        canvas: float32 (size, size, 3); changed in place.
        layout: what to paint.
        light: float32 (size, size, 1), factor on all that is painted, background included.
        shadow: shift (x, y) in pixels of a 128-pixel picture and strength in [0, 1].

    Returns:
        uint8 (size, size, 3).
    """
    size = canvas.shape[0]
    for sprite in layout.sprites:
        windows = _windows(sprite, size)
        if windows is None:
            continue
        picture, patch = windows
        if shadow[2]:
            step = max(1, round(size / 128))
            cast = _windows(
                replace(sprite, left=sprite.left + shadow[0] * step, top=sprite.top + shadow[1] * step), size
            )
            if cast:
                canvas[cast[0]] *= 1 - (sprite.coverage[cast[1]] * np.float32(shadow[2] / 255))[..., None]
        alpha = (sprite.coverage[patch] * np.float32(1 / 255))[..., None]
        region = canvas[picture]
        region += (_surface(sprite, size, patch) - region) * alpha
    canvas *= light
    np.clip(canvas, 0, 255, out=canvas)
    return canvas.astype(np.uint8)


def _surface(sprite: Sprite, size: int, patch: tuple[slice, slice]) -> np.ndarray:
    look = sprite.look
    radius = look.radius * sprite.pose.scale * size
    # A pattern finer than seven pixels of a 96-pixel picture would be lost in the coarse levels of a network.
    period = max(0.075 * size * sprite.pose.scale, 0.55 * radius)
    if look.texture == "dotted":
        period *= 0.84  # dots lie further apart than stripes of the same period: small objects need several
    strength = pattern_strength(
        look.texture, sprite.coverage.shape[0], sprite.centre, period, sprite.pose.rotation, look.phase
    )
    rim = _rim(sprite.coverage)
    # The rim takes half of the pattern colour, so that overlapping objects of one colour keep a visible border.
    share = rim if strength is None else np.maximum(strength, rim)
    return look.paint[0] + (look.paint[1] - look.paint[0]) * share[patch][..., None]


def _rim(coverage: np.ndarray) -> np.ndarray:
    """Share of the pattern colour along the inner border of a silhouette: float32, 0 inside, up to one half."""
    inner = coverage.copy()
    np.minimum(inner[1:], coverage[:-1], out=inner[1:])
    np.minimum(inner[:-1], coverage[1:], out=inner[:-1])
    np.minimum(inner[:, 1:], coverage[:, :-1], out=inner[:, 1:])
    np.minimum(inner[:, :-1], coverage[:, 1:], out=inner[:, :-1])
    return (coverage - inner) * np.float32(0.5 / 255)


def describe_object(look: Look, pose: Pose, visible_share: float) -> dict[str, Any]:
    """Attributes of an object as plain values, lengths in image sides, angles in degrees."""
    return {
        "shape": look.shape,
        "colour": look.colour,
        "texture": look.texture,
        "size": look.size,
        "centre": (pose.x, pose.y),
        "radius": look.radius * pose.scale,
        "rotation": math.degrees(pose.rotation),
        "visible_share": visible_share,
    }


def scene_looks(draws: Draws, count: int, easy: bool) -> list[Look]:
    """Looks of a scene with look-alikes: objects that share a shape, a colour or both with another one.

    Easy scenes have fewer of them and no two objects of the same shape and colour.
    """
    looks = [draw_look(draws)]
    weights = (0.22, 0.14, 0.0, 0.0, 0.64) if easy else (0.26, 0.2, 0.18, 0.05, 0.31)
    while len(looks) < count:
        model = draws.choice(looks)
        likeness = draws.weighted(("shape", "colour", "both", "twin", "none"), weights)
        if likeness == "shape":
            look = draw_look(draws, shape=model.shape, colour=draws.choice([c for c in COLOURS if c != model.colour]))
        elif likeness == "colour":
            look = draw_look(
                draws, shape=draws.choice([s for s in NAMED_SHAPES if s != model.shape]), colour=model.colour
            )
        elif likeness == "both":
            other_size = draws.chance(0.6)
            look = draw_look(
                draws,
                shape=model.shape,
                colour=model.colour,
                texture=model.texture if other_size else draws.choice([t for t in TEXTURES if t != model.texture]),
                size=draws.choice([s for s in SIZES if s != model.size]) if other_size else model.size,
            )
        elif likeness == "twin":
            look = draw_look(draws, model.shape, model.colour, model.texture, model.size)
        else:
            look = draw_look(draws)
        if easy and any(one.shape == look.shape and one.colour == look.colour for one in looks):
            continue
        looks.append(look)
    return looks
