"""Still scenes of photographs: crops of real pictures, with and without pasted objects, and their sentences."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import FailureError
from ..drawn.draws import Draws
from ..drawn.grammar import KINDS
from ..scenes import ImageScene, Sentence
from .base import Base, SceneSource, brightness_of, choose_base, crop_mask, crop_picture
from .grammar import PhotoDescription, PhotoFacts, PhotoThing, find_absent_photo, find_photo_description, word_photo
from .scene import (
    Layers,
    PastedObject,
    Raster,
    draw_appearance,
    draw_occluder,
    draw_pasted_object,
    paint,
    place_pasted_objects,
    shows_enough,
    stack,
)

ATTEMPTS = 40
_ABSENT_SENTENCES = 2


@dataclass(frozen=True)
class Part:
    """An object of a scene: its sequence and frame, its number in the owner map, its rotation in radians."""

    sequence: str
    time: int
    number: int
    rotation: float


@dataclass(frozen=True)
class Composition:
    """A picture, who owns which of its pixels, and its objects in random order."""

    image: np.ndarray
    layers: Layers
    parts: list[Part]
    clutter: frozenset[str]

    def masks(self) -> np.ndarray:
        """Visible parts, bool (n, size, size)."""
        numbers = np.array([part.number for part in self.parts], np.int8)
        return self.layers.owner[None] == numbers[:, None, None]


def choose_pasted_object(
    draws: Draws,
    source: SceneSource,
    sequence: str,
    brightness: float,
    largest: float,
    avoid: Collection[int] = (),
) -> PastedObject | None:
    """An object of a sequence from one of its frames that gives a cut-out; frames to avoid are taken last."""
    available = len(source.folder.sequences[sequence].frames)
    for attempt in range(8):
        time = draws.integer(0, available - 1)
        if time in avoid and attempt < 6:
            continue
        pasted = draw_pasted_object(draws, source, sequence, (time,), brightness, largest)
        if pasted is not None:
            return pasted
    return None


def compose(
    draws: Draws, source: SceneSource, base: Base, pasted_objects: Sequence[PastedObject], occluded: bool
) -> Composition:
    """Pastes objects into a photograph where they show enough of themselves."""
    base_mask = crop_mask(source, base, 0) if base.has_object else None
    hiding = draw_occluder(draws, source) if occluded and source.plain else None
    if not shows_enough(stack(base_mask, (), source.size, hiding), source.size, base_mask is not None):
        hiding = None
    kept, rasters = place_pasted_objects(draws, pasted_objects, base_mask, source.size, hiding)
    layers = stack(base_mask, rasters, source.size, hiding)
    parts = _parts(base, layers, kept, rasters)
    image = paint(crop_picture(source, base, 0), rasters, hiding, draw_appearance(draws, source.size), draws)
    # The order of the objects must not tell who lies on top.
    return Composition(image, layers, draws.shuffled(parts), frozenset(source.names(base.sequence).clutter))


def _parts(base: Base, layers: Layers, pasted_objects: Sequence[PastedObject], rasters: Sequence[Raster]) -> list[Part]:
    parts = [Part(base.sequence, base.times[0], 0, 0.0)] if base.has_object and layers.visible[0] else []
    for number, (pasted, raster) in enumerate(zip(pasted_objects, rasters, strict=True), start=1):
        parts.append(Part(pasted.sequence, pasted.times[0], number, raster.pose.rotation))
    return parts


def things_of(source: SceneSource, layers: Layers, parts: Sequence[Part]) -> list[PhotoThing]:
    """What sentences may speak of, measured on the visible parts."""
    axis = (np.arange(source.size) + 0.5) / source.size
    things = []
    for part in parts:
        mask = layers.owner == part.number
        columns, rows = mask.sum(0), mask.sum(1)
        pixels = max(int(columns.sum()), 1)
        width, height = np.count_nonzero(columns), np.count_nonzero(rows)
        things.append(
            PhotoThing(
                names=source.names(part.sequence),
                x=float(columns @ axis) / pixels,
                y=float(rows @ axis) / pixels,
                radius=math.sqrt(width * height) / source.size / 2,
                extent=math.sqrt(layers.areas[part.number]) / source.size,
            )
        )
    return things


def describe_part(part: Part, thing: PhotoThing, layers: Layers) -> dict[str, Any]:
    """Attributes of an object as plain values, lengths in image sides, angles in degrees."""
    return {
        "shape": thing.names.category,
        "colour": thing.names.colours[0] if thing.names.colours else None,
        "texture": None,
        "size": None,
        "centre": (thing.x, thing.y),
        "radius": thing.radius,
        "rotation": math.degrees(part.rotation),
        "visible_share": layers.visible[part.number] / max(layers.areas[part.number], 1),
        "sequence": part.sequence,
        "frame": part.time,
    }


def find_photo_sentences(
    facts: PhotoFacts, target: int, kinds: Sequence[str], draws: Draws
) -> list[Sentence[PhotoDescription]]:
    """At most one sentence a kind about one object, each true of it and of nothing else, in random order."""
    sentences = []
    for kind in draws.shuffled(kinds):
        meaning = find_photo_description(kind, target, facts, draws)
        if meaning is not None:
            sentences.append(Sentence(word_photo(meaning, draws), meaning, kind))
    return sentences


def find_absent_sentences(
    facts: PhotoFacts, source: SceneSource, places: bool, draws: Draws
) -> list[Sentence[PhotoDescription]]:
    """Up to two sentences that are true of nothing in the scene."""
    sentences = []
    for _ in range(_ABSENT_SENTENCES):
        meaning = find_absent_photo(facts, source.all_names, places, draws)
        if meaning is not None:
            sentences.append(Sentence(word_photo(meaning, draws), meaning, "absent"))
    return sentences


def choose_sequences(
    draws: Draws, source: SceneSource, base: Base, count: int, twins: float, different: bool = False
) -> list[str]:
    """Sequences of `count` pasted objects.

    Args:
        base: the photograph behind; what it shows without a mask is rarely shown again with one.
        twins: share of objects that take the category of another one.
        different: never take a sequence twice, and not the photograph's if its object is seen; there may be fewer
            objects then.
    """
    clutter = source.names(base.sequence).clutter
    chosen = [base.sequence] if base.has_object else []
    own = len(chosen)
    while len(chosen) - own < count:
        pool = list(source.sequences)
        taken = {source.names(sequence).category for sequence in chosen}
        if chosen and draws.chance(twins):
            wanted = source.names(draws.choice(chosen)).category
            pool = [one for one in pool if source.names(one).category == wanted]
        elif draws.chance(0.85):
            pool = [one for one in pool if source.names(one).category not in taken] or pool
        if draws.chance(0.75):
            pool = [one for one in pool if source.names(one).category not in clutter] or pool
        if different:
            pool = [one for one in pool if one not in chosen]
            rest = [one for one in source.sequences if one not in chosen]
            if not rest:
                break
            pool = pool or rest
        chosen.append(draws.choice(pool))
    return chosen[own:]


def draw_photo_image(draws: Draws, source: SceneSource, easy: bool) -> ImageScene[PhotoDescription]:
    """One still scene: a real crop, a real crop with pasted objects, or pasted objects alone.

    Raises:
        RuntimeError: when no frame of the split gives a usable object.
    """
    for _ in range(ATTEMPTS):
        manner = draws.weighted(("real", "mixed", "pasted"), (0.25, 0.3, 0.45))
        base = choose_base(draws, source, source.sequences, with_object=manner != "pasted")
        if base is None:
            continue
        if manner == "real":
            count = 0
        elif manner == "mixed":
            count = draws.integer(1, 2)
        else:
            count = draws.weighted((2, 3, 4), (0.4, 0.4, 0.0 if easy else 0.2))
        brightness, largest = brightness_of(source, base), (0.58, 0.58, 0.52, 0.45, 0.4)[count]
        pasted_objects = []
        for sequence in choose_sequences(draws, source, base, count, twins=0.0 if easy else 0.45, different=easy):
            pasted = choose_pasted_object(draws, source, sequence, brightness, largest)
            if pasted is not None:
                pasted_objects.append(pasted)
        scene = compose(draws, source, base, pasted_objects, occluded=draws.chance(0.1))
        if not scene.parts:
            continue
        things = things_of(source, scene.layers, scene.parts)
        facts = PhotoFacts(things, scene.clutter)
        kinds = KINDS[:1] if easy else KINDS
        return ImageScene(
            scene.image,
            scene.masks(),
            [describe_part(part, thing, scene.layers) for part, thing in zip(scene.parts, things, strict=True)],
            facts,
            [find_photo_sentences(facts, target, kinds, draws) for target in range(len(things))],
            find_absent_sentences(facts, source, places=not easy, draws=draws),
        )
    raise FailureError(f"folder: no usable object in {ATTEMPTS} trials over {', '.join(source.sequences)}")
