"""What is asked about the scenes of the procedural world: a fixed choice for each world and scene number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as count_up
from typing import Any

import numpy as np

from ..worlds.drawn.world import SPLITS, World

_PICTURES, _CLIPS = 0, 1


@dataclass(frozen=True)
class PictureQuestion:
    """Sentences about one picture.

    Attributes:
        image: uint8 (H, W, 3).
        masks: bool (n, H, W), the visible part of each object.
        target: index of the object that is asked for.
        sentence: true of it alone.
        kind: of the sentence, such as "place".
        other: index of another object that has a sentence; None when there is none.
        other_sentence: true of that one alone; None when there is none.
        absent: a sentence true of no object; None when the scene has none.
    """

    image: np.ndarray
    masks: np.ndarray
    target: int
    sentence: str
    kind: str
    other: int | None
    other_sentence: str | None
    absent: str | None


@dataclass(frozen=True)
class ClipQuestion:
    """What is asked about one clip. Objects have ids from 1.

    Attributes:
        frames: uint8 (T, H, W, 3).
        label_maps: uint8 (T, H, W), 0 background.
        first_frames: {id: the first frame that shows it}, for every object that shows at all.
        sentences: {id: a sentence true of it alone}, where there is one.
        conflicts: {id: another object of the first frame}, for objects with a sentence that show in the first frame.
    """

    frames: np.ndarray
    label_maps: np.ndarray
    first_frames: dict[int, int]
    sentences: dict[int, str]
    conflicts: dict[int, int]

    def masks(self, number: int) -> np.ndarray:
        """bool (T, H, W) of one object."""
        return self.label_maps == number


def picture_questions(world: World, count: int) -> Iterator[PictureQuestion]:
    """The first `count` pictures of which at least one object can be told by a sentence."""
    for index in count_up():
        if count <= 0:
            return
        question = _ask_about_picture(world.image(index), _random(world, _PICTURES, index))
        if question is not None:
            count -= 1
            yield question


def clip_questions(world: World, count: int, frames: int) -> Iterator[ClipQuestion]:
    """The first `count` clips, `frames` long."""
    for index in range(count):
        yield _ask_about_clip(world.clip(index, frames=frames), _random(world, _CLIPS, index))


def _random(world: World, kind: int, index: int) -> np.random.Generator:
    return np.random.default_rng([world.seed, SPLITS.index(world.split), kind, index])


def _ask_about_picture(scene: dict[str, Any], random: np.random.Generator) -> PictureQuestion | None:
    sentences, kinds, absent = scene["sentences"], scene["sentence_kinds"], scene["absent_sentences"]
    # All decisions are drawn before any is used: how many objects can be told changes none of the later ones.
    order, points = random.permutation(len(sentences)), random.random(3)
    tellable = [int(number) for number in order if sentences[number]]
    if not tellable:
        return None
    target, other = tellable[0], tellable[1] if len(tellable) > 1 else None
    chosen = int(points[0] * len(sentences[target]))
    return PictureQuestion(
        image=scene["image"],
        masks=scene["masks"],
        target=target,
        sentence=sentences[target][chosen],
        kind=kinds[target][chosen],
        other=other,
        other_sentence=None if other is None else _pick(sentences[other], points[1]),
        absent=_pick(absent, points[2]) if absent else None,
    )


def _ask_about_clip(clip: dict[str, Any], random: np.random.Generator) -> ClipQuestion:
    shown = {number: visible for number, visible in clip["visible"].items() if visible.any()}
    points = random.random((len(clip["visible"]) + 1, 2))
    sentences = {
        number: _pick(clip["sentences"][number], points[number, 0]) for number in shown if clip["sentences"][number]
    }
    at_first = [number for number, visible in shown.items() if visible[0]]
    conflicts = {}
    for number in set(at_first) & set(sentences):
        others = [other for other in at_first if other != number]
        if others:
            conflicts[number] = _pick(others, points[number, 1])
    return ClipQuestion(
        frames=clip["frames"],
        label_maps=clip["label_maps"],
        first_frames={number: int(visible.argmax()) for number, visible in shown.items()},
        sentences=sentences,
        conflicts=dict(sorted(conflicts.items())),
    )


def _pick(items: list[Any], point: float) -> Any:
    return items[int(point * len(items))]
