"""Few-shot pairs of photographs: the same object in other frames, or another object of its category."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.errors import FailureError
from ..drawn.draws import Draws
from ..scenes import FewShotScene
from .base import SceneSource, brightness_of, choose_base
from .images import ATTEMPTS, Composition, choose_pasted_object, compose


def _scene(
    draws: Draws,
    source: SceneSource,
    category: str,
    pool: Sequence[str],
    most: int,
    avoid: set[tuple[str, int]],
    same_object: bool,
) -> tuple[Composition, list[tuple[str, int]]] | None:
    """A picture with one to `most` objects of the pool and some of other categories.

    Returns:
        The picture and the (sequence, frame) of its targets, or `None` when no trial shows a target.
    """
    others = [sequence for sequence in source.sequences if category not in source.names(sequence).nouns]
    for _ in range(ATTEMPTS):
        # Photographs that show objects of the category without a mask would make the answer wrong, unless the very
        # same object is asked for.
        clean = [one for one in pool if same_object or category not in source.names(one).clutter]
        real = bool(clean) and draws.chance(0.5)
        if real:
            base = choose_base(draws, source, clean)
        else:
            behind = [one for one in source.sequences if category not in source.names(one).clutter]
            alien = [one for one in behind if one in others]
            with_object = bool(alien) and draws.chance(0.4)
            pictures = alien if with_object else behind or source.sequences
            base = choose_base(draws, source, pictures, with_object=with_object)
        if base is None or (real and (base.sequence, base.times[0]) in avoid):
            continue
        brightness = brightness_of(source, base)
        chosen = [] if real else [draws.choice(pool)]
        if most > 1 and draws.chance(0.2):
            chosen.append(draws.choice(pool))
        targets = len(chosen)
        chosen += [draws.choice(others) for _ in range(draws.integer(0, 2) if others else 0)]
        taken = {time for sequence, time in avoid if sequence in chosen}
        pasted_objects = []
        for number, sequence in enumerate(chosen):
            pasted = choose_pasted_object(draws, source, sequence, brightness, 0.52, taken if number < targets else ())
            if pasted is not None:
                pasted_objects.append(pasted)
        scene = compose(draws, source, base, pasted_objects, occluded=False)
        found = [(part.sequence, part.time) for part in scene.parts if part.sequence in pool]
        if found:
            return scene, found
    return None


def _target_mask(scene: Composition, pool: Sequence[str]) -> np.ndarray:
    numbers = [part.number for part in scene.parts if part.sequence in pool]
    return np.isin(scene.layers.owner, numbers)


def draw_photo_few_shot(
    draws: Draws, source: SceneSource, targets: Sequence[str], shots: int, same_object: bool
) -> FewShotScene:
    """One query with `shots` supports in other frames.

    Fewer shots give the same query and the first of the same supports.

    Args:
        targets: sequences that the target may come from.
        shots: number of supports.
        same_object: take all examples from one sequence, instead of any of its category.

    Raises:
        RuntimeError: when no frame gives a usable object.
    """
    for _ in range(ATTEMPTS):
        chosen = draws.choice(targets)
        category = source.names(chosen).category
        pool = [chosen]
        if not same_object:
            pool = [one for one in source.sequences if source.names(one).category == category]
        query = _scene(draws, source, category, pool, 2, set(), same_object)
        if query is None:
            continue
        avoid = {(sequence, time + away) for sequence, time in query[1] for away in range(-3, 4)}
        examples = []
        for _ in range(shots):
            example = _scene(draws, source, category, pool, 1, avoid, same_object)
            if example is None:
                break
            examples.append(example[0])
        if len(examples) == shots:
            return FewShotScene(
                query[0].image,
                _target_mask(query[0], pool),
                np.stack([one.image for one in examples]),
                np.stack([_target_mask(one, pool) for one in examples]),
                category,
            )
    raise FailureError(f"folder: no usable pair in {ATTEMPTS} trials over {', '.join(targets)}")
