"""Few-shot pairs: the same category in a query and in annotated support scenes, everything else different."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..scenes import FewShotScene
from .backgrounds import paint_background
from .draws import Draws
from .scene import Look, draw_light, draw_look, draw_shadow, paint_layout, place_objects
from .shapes import NAMED_SHAPES, NOVEL_SHAPES, Shape, named_shape, random_shape, similarity
from .textures import COLOURS

FAMILIES = ("named", "random", "mixed")

_TOO_SIMILAR = 0.72


Category = tuple[str, Shape]


def _categories(draws: Draws, split: str, family: str, novel: bool) -> tuple[Category, list[Category]]:
    """The target category and those that distract from it."""
    if family == "mixed":
        family = draws.choice(("named", "random"))
    if novel:
        names = draws.shuffled(NOVEL_SHAPES)
        target: Category = (names[0], named_shape(names[0]))
        pool = names[1:] + draws.shuffled(NAMED_SHAPES)[:4]
        others: list[Category] = [(name, named_shape(name)) for name in pool]
    elif family == "named":
        names = draws.shuffled(NAMED_SHAPES)
        target = (names[0], named_shape(names[0]))
        others = [(name, named_shape(name)) for name in names[1:6]]
    else:
        shape = random_shape(draws)
        target = (f"unnamed {shape.name}", shape)
        others = []
        while len(others) < 4:
            if draws.chance(0.3):
                name = draws.choice(NAMED_SHAPES)
                other: Category = (name, named_shape(name))
            else:
                other_shape = random_shape(draws)
                other = (f"unnamed {other_shape.name}", other_shape)
            if other[1].name != shape.name and similarity(other[1], shape) < _TOO_SIMILAR:
                others.append(other)
    return target, draws.shuffled(others)


def _look(draws: Draws, category: Category, colour: str | None = None, size: str | None = None) -> Look:
    name, shape = category
    silhouette = None if name in NAMED_SHAPES else shape
    return draw_look(draws, shape=name, colour=colour, size=size, silhouette=silhouette)


def _scene(
    draws: Draws, split: str, size: int, targets: Sequence[Look], distractors: Sequence[Look]
) -> tuple[np.ndarray, np.ndarray]:
    """A picture, uint8 (size, size, 3), and the union of the targets' visible parts, bool (size, size)."""
    looks = [targets[0], *draws.shuffled([*targets[1:], *distractors])]
    layout = place_objects(looks, draws, size, touching=0.2)
    wanted = [index for index, sprite in enumerate(layout.sprites) if any(sprite.look is look for look in targets)]
    image = paint_layout(paint_background(draws, split, size), layout, draw_light(draws, size), draw_shadow(draws))
    return image, np.isin(layout.owner, wanted)


def draw_few_shot_scene(draws: Draws, split: str, size: int, shots: int, novel: bool, family: str) -> FewShotScene:
    """One query with `shots` supports of the same category in other colours, places and sizes.

    Fewer shots give the same query and the first of the same supports.
    """
    target, others = _categories(draws, split, family, novel)
    instances = 2 if draws.chance(0.2) else 1
    colours = draws.shuffled(tuple(COLOURS))
    query_colours, support_colours = colours[:2], colours[2:]
    targets = [_look(draws, target, colours[index]) for index in range(instances)]
    distractors = []
    for index in range(draws.integer(1, 4 - instances) + 1):
        # Some distractors wear a colour of the supports' examples: matching colours must not be enough.
        colour = draws.choice(support_colours[:3]) if draws.chance(0.4) else None
        distractors.append(_look(draws, others[index % len(others)], colour))
    image, mask = _scene(draws, split, size, targets, distractors)

    reference_images, reference_masks = [], []
    for shot in range(shots):
        example = _look(draws, target, support_colours[shot % 3])
        company = []
        for category in draws.shuffled(others)[: draws.integer(1, 3)]:
            colour = draws.choice(query_colours) if draws.chance(0.3) else None
            company.append(_look(draws, category, colour))
        picture, example_mask = _scene(draws, split, size, [example], company)
        reference_images.append(picture)
        reference_masks.append(example_mask)
    return FewShotScene(image, mask, np.stack(reference_images), np.stack(reference_masks), target[0])
