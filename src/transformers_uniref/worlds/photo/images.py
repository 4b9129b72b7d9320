"""Still scenes of photographs: crops of real pictures, with and without pasted objects, and their sentences."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..drawn.draws import Draws
from ..drawn.grammar import KINDS
from ..scenes import ImageScene, Sentence
from .base import Base, choose_base, crop_mask, crop_picture
from .folder import PhotoFolder
from .grammar import PhotoDescription, PhotoFacts, PhotoThing, find_absent_photo, find_photo_description, word_photo
from .names import Names
from .scene import (
    Actor,
    Layers,
    Raster,
    draw_actor,
    draw_appearance,
    draw_occluder,
    paint,
    place_actors,
    shows_enough,
    stack,
)

ATTEMPTS = 40
_ABSENT_SENTENCES = 2


@dataclass(frozen=True)
class Stage:
    """What scenes are made of: a folder, the sequences of the split, the side of the pictures in pixels."""

    folder: PhotoFolder
    sequences: tuple[str, ...]
    size: int

    def names(self, sequence: str) -> Names:
        """The words of a sequence."""
        return self.folder.sequences[sequence].names

    @property
    def all_names(self) -> list[Names]:
        """The words of the split."""
        return [self.names(sequence) for sequence in self.sequences]

    @property
    def plain(self) -> list[str]:
        """Sequences that show nothing nameable without a mask."""
        return [sequence for sequence in self.sequences if not self.names(sequence).clutter]


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


def pick_actor(
    draws: Draws,
    stage: Stage,
    sequence: str,
    brightness: float,
    largest: float,
    avoid: Collection[int] = (),
) -> Actor | None:
    """An object of a sequence from one of its frames that gives a cut-out; frames to avoid are taken last."""
    available = len(stage.folder.sequences[sequence].frames)
    for attempt in range(8):
        time = draws.integer(0, available - 1)
        if time in avoid and attempt < 6:
            continue
        actor = draw_actor(draws, stage.folder, sequence, (time,), stage.size, brightness, largest)
        if actor is not None:
            return actor
    return None


def compose(draws: Draws, stage: Stage, base: Base, actors: Sequence[Actor], occluded: bool) -> Composition:
    """Puts actors on a photograph where they show enough of themselves."""
    base_mask = crop_mask(stage.folder, base, 0, stage.size) if base.has_object else None
    hiding = draw_occluder(draws, stage.folder, stage.plain, stage.size) if occluded and stage.plain else None
    if not shows_enough(stack(base_mask, (), stage.size, hiding), stage.size, base_mask is not None):
        hiding = None
    kept, rasters = place_actors(draws, actors, base_mask, stage.size, hiding)
    layers = stack(base_mask, rasters, stage.size, hiding)
    parts = _parts(base, layers, kept, rasters)
    canvas = crop_picture(stage.folder, base, 0, stage.size)
    image = paint(canvas, rasters, hiding, draw_appearance(draws, stage.size), draws)
    # The order of the objects must not tell who lies on top.
    return Composition(image, layers, draws.shuffled(parts), frozenset(stage.names(base.sequence).clutter))


def _parts(base: Base, layers: Layers, actors: Sequence[Actor], rasters: Sequence[Raster]) -> list[Part]:
    parts = [Part(base.sequence, base.times[0], 0, 0.0)] if base.has_object and layers.visible[0] else []
    for number, (actor, raster) in enumerate(zip(actors, rasters, strict=True), start=1):
        parts.append(Part(actor.sequence, actor.times[0], number, raster.pose.rotation))
    return parts


def things_of(stage: Stage, layers: Layers, parts: Sequence[Part]) -> list[PhotoThing]:
    """What sentences may speak of, measured on the visible parts."""
    axis = (np.arange(stage.size) + 0.5) / stage.size
    things = []
    for part in parts:
        mask = layers.owner == part.number
        columns, rows = mask.sum(0), mask.sum(1)
        pixels = max(int(columns.sum()), 1)
        width, height = np.count_nonzero(columns), np.count_nonzero(rows)
        things.append(
            PhotoThing(
                names=stage.names(part.sequence),
                x=float(columns @ axis) / pixels,
                y=float(rows @ axis) / pixels,
                radius=math.sqrt(width * height) / stage.size / 2,
                extent=math.sqrt(layers.areas[part.number]) / stage.size,
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
    facts: PhotoFacts, stage: Stage, places: bool, draws: Draws
) -> list[Sentence[PhotoDescription]]:
    """Up to two sentences that are true of nothing in the scene."""
    sentences = []
    for _ in range(_ABSENT_SENTENCES):
        meaning = find_absent_photo(facts, stage.all_names, places, draws)
        if meaning is not None:
            sentences.append(Sentence(word_photo(meaning, draws), meaning, "absent"))
    return sentences


def choose_cast(draws: Draws, stage: Stage, base: Base, count: int, twins: float, different: bool = False) -> list[str]:
    """Sequences of `count` pasted objects.

    Args:
        draws: random decisions.
        stage: what there is.
        base: the photograph behind; what it shows without a mask is rarely shown again with one.
        count: how many.
        twins: share of objects that take the category of another one.
        different: never take a sequence twice, and not the photograph's if its object is seen; there may be fewer
            objects then.
    """
    clutter = stage.names(base.sequence).clutter
    cast = [base.sequence] if base.has_object else []
    own = len(cast)
    while len(cast) - own < count:
        pool = list(stage.sequences)
        taken = {stage.names(sequence).category for sequence in cast}
        if cast and draws.chance(twins):
            wanted = stage.names(draws.choice(cast)).category
            pool = [one for one in pool if stage.names(one).category == wanted]
        elif draws.chance(0.85):
            pool = [one for one in pool if stage.names(one).category not in taken] or pool
        if draws.chance(0.75):
            pool = [one for one in pool if stage.names(one).category not in clutter] or pool
        if different:
            pool = [one for one in pool if one not in cast]
            rest = [one for one in stage.sequences if one not in cast]
            if not rest:
                break
            pool = pool or rest
        cast.append(draws.choice(pool))
    return cast[own:]


def draw_photo_image(draws: Draws, stage: Stage, easy: bool) -> ImageScene[PhotoDescription]:
    """One still scene: a real crop, a real crop with pasted objects, or pasted objects alone.

    Raises:
        RuntimeError: when no frame of the split gives a usable object.
    """
    for _ in range(ATTEMPTS):
        manner = draws.weighted(("real", "mixed", "pasted"), (0.25, 0.3, 0.45))
        base = choose_base(draws, stage.folder, stage.sequences, stage.size, with_object=manner != "pasted")
        if base is None:
            continue
        if manner == "real":
            count = 0
        elif manner == "mixed":
            count = draws.integer(1, 2)
        else:
            count = draws.weighted((2, 3, 4), (0.4, 0.4, 0.0 if easy else 0.2))
        brightness = crop_picture(stage.folder, base, 0, stage.size)[::4, ::4].mean()
        actors = []
        for sequence in choose_cast(draws, stage, base, count, twins=0.0 if easy else 0.45, different=easy):
            actor = pick_actor(draws, stage, sequence, float(brightness), (0.58, 0.58, 0.52, 0.45, 0.4)[count])
            if actor is not None:
                actors.append(actor)
        scene = compose(draws, stage, base, actors, occluded=draws.chance(0.1))
        if not scene.parts:
            continue
        things = things_of(stage, scene.layers, scene.parts)
        facts = PhotoFacts(things, scene.clutter)
        kinds = KINDS[:1] if easy else KINDS
        return ImageScene(
            scene.image,
            scene.masks(),
            [describe_part(part, thing, scene.layers) for part, thing in zip(scene.parts, things, strict=True)],
            facts,
            [find_photo_sentences(facts, target, kinds, draws) for target in range(len(things))],
            find_absent_sentences(facts, stage, places=not easy, draws=draws),
        )
    raise RuntimeError(f"folder: no usable object in {ATTEMPTS} trials over {', '.join(stage.sequences)}")
