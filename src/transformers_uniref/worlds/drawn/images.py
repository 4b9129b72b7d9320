"""Still scenes with sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..scenes import ImageScene, Sentence
from .backgrounds import paint_background
from .draws import Draws
from .grammar import KINDS, Description, Facts, Thing, find_absent, find_description, word
from .scene import Layout, describe_object, draw_light, draw_shadow, paint_layout, place_objects, scene_looks

_ABSENT_SENTENCES = 2
_COUNT_WEIGHTS = (0.12, 0.24, 0.32, 0.32)


def masks_of(layout: Layout, order: Sequence[int]) -> np.ndarray:
    """Visible parts, bool (n, size, size), of the sprites in this order."""
    return layout.owner[None] == np.array(order, np.int8)[:, None, None]


def facts_of(layout: Layout, masks: np.ndarray, order: Sequence[int]) -> Facts:
    """What sentences may speak of: looks, and places measured on the visible part."""
    size = layout.owner.shape[0]
    columns = masks.sum(1, dtype=np.int32)
    rows = masks.sum(2, dtype=np.int32)
    axis = (np.arange(size) + 0.5) / size
    areas = np.maximum(columns.sum(1), 1)
    xs, ys = columns @ axis / areas, rows @ axis / areas
    things = []
    for index, x, y in zip(order, xs, ys, strict=True):
        look = layout.sprites[index].look
        things.append(Thing(look.shape, look.colour, look.texture, look.size, float(x), float(y), look.radius))
    return Facts(things)


def find_sentences(facts: Facts, target: int, kinds: Sequence[str], draws: Draws) -> list[Sentence[Description]]:
    """At most one sentence of each kind about one object, each true of it and of no other, in random order."""
    sentences = []
    for kind in draws.shuffled(kinds):
        meaning = find_description(kind, target, facts, draws)
        if meaning is not None:
            sentences.append(Sentence(word(meaning, draws), meaning, kind))
    return sentences


def absent_sentences(facts: Facts, draws: Draws, count: int = _ABSENT_SENTENCES) -> list[Sentence[Description]]:
    """Sentences of the same grammar that are true of no object, so `count` or fewer."""
    sentences = []
    for _ in range(count):
        meaning = find_absent(facts, draws)
        if meaning is not None:
            sentences.append(Sentence(word(meaning, draws), meaning, "absent"))
    return sentences


def draw_image_scene(
    draws: Draws, split: str, size: int, counts: tuple[int, int], easy: bool
) -> ImageScene[Description]:
    """One scene of `counts[0]` to `counts[1]` objects; easy ones have at most 3 and speak of looks alone."""
    low, high = (min(counts[0], 3), min(counts[1], 3)) if easy else counts
    choices = range(low, high + 1)
    weights = [_COUNT_WEIGHTS[min(max(count - 2, 0), 3)] for count in choices]
    looks = scene_looks(draws, draws.weighted(choices, weights), easy)
    layout = place_objects(looks, draws, size)
    canvas = paint_background(draws, split, size)
    image = paint_layout(canvas, layout, draw_light(draws, size), draw_shadow(draws))

    # The order of the objects must not tell who lies on top.
    order = draws.shuffled(range(len(layout.sprites)))
    masks = masks_of(layout, order)
    facts = facts_of(layout, masks, order)
    objects = []
    for index in order:
        sprite = layout.sprites[index]
        objects.append(describe_object(sprite.look, sprite.pose, layout.visible[index] / sprite.area))
    kinds = KINDS[:1] if easy else KINDS
    sentences = [find_sentences(facts, target, kinds, draws) for target in range(len(order))]
    return ImageScene(image, masks, objects, facts, sentences, absent_sentences(facts, draws))
