"""Clips: objects that travel, turn, grow, pass behind each other, leave the picture and come back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ..scenes import ClipScene, Sentence
from .backgrounds import paint_background
from .draws import Draws
from .grammar import Description, Facts, Thing, find_description, word
from .images import absent_sentences
from .scene import (
    LEAST_VISIBLE,
    Layout,
    Look,
    Pose,
    Sprite,
    describe_object,
    draw_light,
    draw_look,
    draw_pose,
    draw_shadow,
    make_sprite,
    paint_layout,
    scene_looks,
    stack_sprites,
)
from .textures import COLOURS

Laid = TypeVar("Laid")

MANNERS = ("bounce", "still", "sway", "cross", "leave", "return", "enter")
MANNER_WEIGHTS = (0.34, 0.15, 0.12, 0.14, 0.09, 0.1, 0.06)
_LEAST_PIXELS = 1 / 1400
"""Share of the picture below which an object's rest is not drawn: slivers of a few pixels are no object to track."""


def reflect(value: float, low: float, high: float) -> float:
    """Folds a straight path into [low, high], as a ball between two walls."""
    span = high - low
    folded = (value - low) % (2 * span)
    return low + (folded if folded <= span else 2 * span - folded)


def route(
    manner: str, start: Pose, radius: float, meet: Pose | None, count: int, draws: Draws
) -> list[tuple[float, float]]:
    """Centres over `count` frames in image sides, for an object of this radius and one of `MANNERS`."""
    steps = max(count - 1, 1)
    outside = radius * 1.5
    angle = draws.uniform(0, 2 * math.pi)
    speed = draws.uniform(0.018, 0.06)
    if manner == "still":
        return [(start.x, start.y)] * count
    if manner == "sway":
        width, rate = draws.uniform(0.06, 0.16), draws.uniform(0.35, 0.9)
        waves = [width * math.sin(rate * t) for t in range(count)]
        return [(start.x + wave * math.cos(angle), start.y + wave * math.sin(angle)) for wave in waves]
    if manner in ("leave", "return", "enter"):
        # Straight through the nearest border; entering is leaving played backwards.
        borders = ((start.x, -1, 0), (1 - start.x, 1, 0), (start.y, 0, -1), (1 - start.y, 0, 1))
        distance, dx, dy = min(borders)
        drift = draws.uniform(-0.3, 0.3)
        gone = draws.uniform(0.4, 0.75 if manner != "return" else 0.5) * steps
        pace = (distance + outside) / max(gone, 1.0)
        turn = gone + draws.uniform(0.0, 0.15) * steps
        travelled = []
        for t in range(count):
            time = steps - t if manner == "enter" else t
            travelled.append(pace * (2 * turn - time if manner == "return" and time > turn else time))
        return [(start.x + (dx or drift) * way, start.y + (dy or drift) * way) for way in travelled]
    if manner == "cross" and meet is not None:
        moment = draws.uniform(0.35, 0.65) * steps
        vx, vy = (meet.x - start.x) / max(moment, 1.0), (meet.y - start.y) / max(moment, 1.0)
    else:
        vx, vy = speed * math.cos(angle), speed * math.sin(angle)
    edge = radius * 0.8
    return [
        (reflect(start.x + vx * t, edge, 1 - edge), reflect(start.y + vy * t, edge, 1 - edge)) for t in range(count)
    ]


def _poses(start: Pose, look: Look, centres: Sequence[tuple[float, float]], draws: Draws) -> list[Pose]:
    spin = draws.uniform(-0.16, 0.16) if draws.chance(0.5) else 0.0
    swell, rate = (draws.uniform(0.08, 0.22), draws.uniform(0.2, 0.5)) if draws.chance(0.4) else (0.0, 0.0)
    # Small objects only grow and big ones only shrink, so that "small" and "big" never meet.
    sign = 1 if look.size == "small" else -1
    poses = []
    for t, (x, y) in enumerate(centres):
        scale = 1 + sign * swell * (1 - math.cos(rate * t)) / 2
        poses.append(Pose(x, y, start.rotation + spin * t, scale))
    return poses


def motion_word(poses: Sequence[Pose]) -> str | None:
    """A word for a motion that is plain throughout the clip, or `None`."""
    xs, ys = [pose.x for pose in poses], [pose.y for pose in poses]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    if max(width, height) < 1e-6:
        turned = poses[0].rotation != poses[-1].rotation or any(pose.scale != 1 for pose in poses)
        return None if turned or len(poses) == 1 else "still"
    dx, dy = xs[-1] - xs[0], ys[-1] - ys[0]
    if abs(dx) > 0.16 and abs(dx) > 0.98 * width and height < 0.4 * abs(dx):
        return "right" if dx > 0 else "left"
    if abs(dy) > 0.16 and abs(dy) > 0.98 * height and width < 0.4 * abs(dy):
        return "down" if dy > 0 else "up"
    return None


def _distinct_looks(draws: Draws, count: int) -> list[Look]:
    """Looks of which no two share both shape and colour: a mask reference carries no place to tell twins apart."""
    looks: list[Look] = []
    for look in scene_looks(draws, count, easy=False):
        while any(one.shape == look.shape and one.colour == look.colour for one in looks):
            look = draw_look(draws, shape=look.shape, colour=draws.choice(tuple(COLOURS)), size=look.size)
        looks.append(look)
    return looks


def _plan(draws: Draws, looks: Sequence[Look], size: int, count: int) -> tuple[list[Look], list[list[Pose]]]:
    """Paths such that every object that is there at first shows enough of itself in the first frame."""
    kept: list[Look] = []
    paths: list[list[Pose]] = []
    first: list[Sprite] = []
    for look in looks:
        manner = draws.weighted(MANNERS, MANNER_WEIGHTS)
        if manner == "enter" and (len(kept) < 2 or count < 4):
            manner = "bounce"
        for _ in range(40):
            start = draw_pose(draws, look)
            meet = draws.choice(paths)[0] if paths else None
            path = _poses(start, look, route(manner, start, look.radius, meet, count, draws), draws)
            sprite = make_sprite(look, path[0], size)
            trial = [*first, sprite]
            layout = stack_sprites(trial, size)
            late = [
                manner == "enter" if one is sprite else not 0 < one.pose.x < 1 or not 0 < one.pose.y < 1
                for one in trial
            ]
            shown = zip(layout.visible, trial, late, strict=True)
            if all(is_late or pixels >= LEAST_VISIBLE * one.area for pixels, one, is_late in shown):
                kept.append(look)
                paths.append(path)
                first = trial
                break
    return kept, paths


def _layout(looks: Sequence[Look], poses: Sequence[Pose], size: int) -> tuple[Layout, list[int]]:
    """The sprites of one frame that show more than a sliver, and which objects they are."""
    sprites = [make_sprite(look, pose, size) for look, pose in zip(looks, poses, strict=True)]
    return without_slivers(
        lambda members: stack_sprites([sprites[index] for index in members], size),
        lambda layout: layout.visible,
        len(looks),
        size,
    )


def without_slivers(
    lay: Callable[[Sequence[int]], Laid], visible: Callable[[Laid], Sequence[int]], count: int, size: int
) -> tuple[Laid, list[int]]:
    """Lay objects over each other, and leave out whose rest is a sliver until none is.

    Args:
        lay: gives the layout of some of the objects.
        visible: tells how many pixels each of them shows in it.
        count: number of objects.
        size: side of the picture in pixels.

    Returns:
        The layout, and which objects are in it.
    """
    members = list(range(count))
    while True:
        laid = lay(members)
        shown = zip(members, visible(laid), strict=True)
        enough = [index for index, pixels in shown if pixels >= _LEAST_PIXELS * size * size]
        if len(enough) == len(members):
            return laid, members
        members = enough


def _camera(draws: Draws, size: int, count: int) -> list[tuple[int, int]]:
    """Offsets (x, y) of the picture in a larger background; constant for a camera at rest."""
    margin = size // 4
    x, y = draws.uniform(0, margin), draws.uniform(0, margin)
    if draws.chance(0.5):
        return [(round(x), round(y))] * count
    angle, pace = draws.uniform(0, 2 * math.pi), draws.uniform(0.004, 0.025) * size
    dx, dy = pace * math.cos(angle), pace * math.sin(angle)
    return [(round(reflect(x + dx * t, 0, margin)), round(reflect(y + dy * t, 0, margin))) for t in range(count)]


def draw_clip_scene(draws: Draws, split: str, size: int, count: int) -> ClipScene[Description]:
    """One clip of `count` frames with 2 to 4 objects."""
    looks, paths = _plan(draws, _distinct_looks(draws, draws.weighted((2, 3, 4), (0.3, 0.4, 0.3))), size, count)
    camera = _camera(draws, size, count)
    wide = paint_background(draws, split, size + size // 4)
    light, shadow = draw_light(draws, size), draw_shadow(draws)
    # Depth and number are unrelated: ids are dealt after the depths.
    order = draws.shuffled(range(len(looks)))
    identity = np.zeros(len(looks) + 1, np.uint8)
    for number, index in enumerate(order):
        identity[index] = number + 1

    frames = np.empty((count, size, size, 3), np.uint8)
    label_maps = np.empty((count, size, size), np.uint8)
    shares = [0.0] * len(looks)
    for t, (x, y) in enumerate(camera):
        layout, members = _layout(looks, [path[t] for path in paths], size)
        frames[t] = paint_layout(wide[y : y + size, x : x + size].copy(), layout, light, shadow)
        # The background is -1 in the owner map and picks the last entry of the table.
        table = np.append(identity[members], 0).astype(np.uint8)
        label_maps[t] = table[layout.owner]
        if t == 0:
            for index, pixels, sprite in zip(members, layout.visible, layout.sprites, strict=True):
                shares[index] = pixels / sprite.area

    moving_camera = len(set(camera)) > 1
    things = []
    for index in order:
        look, start = looks[index], paths[index][0]
        motion = None if moving_camera else motion_word(paths[index])
        things.append(Thing(look.shape, look.colour, look.texture, look.size, start.x, start.y, look.radius, motion))
    facts = Facts(things)
    objects = [
        describe_object(looks[index], paths[index][0], shares[index]) | {"motion": thing.motion}
        for index, thing in zip(order, things, strict=True)
    ]
    sentences = [_clip_sentences(facts, target, draws) for target in range(len(things))]
    # Places change in a clip, so sentences about absent objects speak of looks alone.
    absent = [one for one in absent_sentences(facts, draws, 4) if one.meaning.place is None][:2]
    return ClipScene(frames, label_maps, objects, facts, sentences, absent)


def _clip_sentences(facts: Facts, target: int, draws: Draws) -> list[Sentence[Description]]:
    """Sentences about looks, which hold in every frame; words of motion are only added to what looks already tell."""
    sentences = []
    for kind in draws.shuffled(("attribute", "attribute", "size")):
        meaning = find_description(kind, target, facts, draws)
        if meaning is None:
            continue
        motion = facts.things[target].motion
        if motion is not None and draws.chance(0.35):
            meaning, kind = replace(meaning, motion=motion), "motion"
        sentences.append(Sentence(word(meaning, draws), meaning, kind))
    return sentences
