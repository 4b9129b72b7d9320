"""Referring expressions of the procedural world: what they mean, when they are true, and how they are worded.

A [`Description`] is the meaning. [`denotation`] evaluates it against every object of a scene in three-valued logic: the
objects it is certainly true of and those it is possibly true of. A sentence refers when both sets are the same single
object, so that borderline places never decide. [`word`] puts a description into one of many wordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from ..scenes import Meaning
from .draws import Draws
from .scene import SIZES
from .shapes import NAMED_SHAPES
from .textures import COLOURS, TEXTURES

KINDS = ("attribute", "size", "place", "relation")


class Placed(Protocol):
    """Anything with a place in image sides."""

    @property
    def x(self) -> float:
        """From the left."""
        ...

    @property
    def y(self) -> float:
        """From the top."""
        ...


@dataclass(frozen=True)
class Thing:
    """What the grammar knows of an object: words for its look and the middle of its visible part in image sides."""

    shape: str
    colour: str
    texture: str
    size: str
    x: float
    y: float
    radius: float
    motion: str | None = None


@dataclass(frozen=True)
class Description:
    """Meaning of a referring expression; `None` leaves an aspect open.

    Attributes:
        shape, colour, texture, size: words that must hold of the object.
        superlative: an extreme among the objects that these words fit: "leftmost", ..., "smaller", "biggest", ...
        place: a region of the picture: "left", "upper left corner", "middle", ...
        relation: a spatial relation to another object and the description of that object.
        motion: how the object moves in a clip.
    """

    shape: str | None = None
    colour: str | None = None
    texture: str | None = None
    size: str | None = None
    superlative: str | None = None
    place: str | None = None
    relation: tuple[str, Description] | None = None
    motion: str | None = None


PLACES = (
    "left", "right", "top", "bottom", "middle",
    "upper left corner", "upper right corner", "lower left corner", "lower right corner",
)  # fmt: skip
FAR_ENDS = ("leftmost", "rightmost", "topmost", "lowest")
COMPARISONS = ("smaller", "bigger", "smallest", "biggest")
RELATIONS = ("left of", "right of", "above", "below", "next to")

_Sets = tuple[int, int]
"""Bit sets of objects: certainly true, possibly true."""


class Facts:
    """A scene as bit sets of its objects, bit i for object i."""

    def __init__(self, things: Sequence[Thing]) -> None:
        self.things = tuple(things)
        self.everything = (1 << len(self.things)) - 1
        self._attribute: dict[tuple[str, str], int] = {}
        for index, thing in enumerate(self.things):
            bit = 1 << index
            words = (("shape", thing.shape), ("colour", thing.colour), ("texture", thing.texture), ("size", thing.size))
            for key in words:
                self._attribute[key] = self._attribute.get(key, 0) | bit

    def head(self, description: Description) -> int:
        """Objects that the attribute words fit."""
        result, attribute = self.everything, self._attribute
        if description.shape is not None:
            result &= attribute.get(("shape", description.shape), 0)
        if description.colour is not None:
            result &= attribute.get(("colour", description.colour), 0)
        if description.texture is not None:
            result &= attribute.get(("texture", description.texture), 0)
        if description.size is not None:
            result &= attribute.get(("size", description.size), 0)
        return result

    @cached_property
    def places(self) -> dict[str, _Sets]:
        """For each region, the objects certainly and possibly in it."""
        sets = {name: (0, 0) for name in PLACES}
        for index, thing in enumerate(self.things):
            bit = 1 << index
            for name in PLACES:
                certain, possible = _in_place(name, thing.x, thing.y)
                sets[name] = (sets[name][0] | bit * certain, sets[name][1] | bit * possible)
        return sets

    @cached_property
    def relations(self) -> dict[tuple[str, int], _Sets]:
        """For each relation and anchor, the objects that certainly and possibly stand in it to the anchor."""
        sets = {}
        for anchor, other in enumerate(self.things):
            found = {name: [0, 0] for name in RELATIONS}
            for index, thing in enumerate(self.things):
                if index != anchor:
                    for name, (certain, possible) in _related(thing, other).items():
                        found[name][0] |= certain << index
                        found[name][1] |= possible << index
            for name, (certain_set, possible_set) in found.items():
                sets[name, anchor] = (certain_set, possible_set)
        return sets

    def motions(self, motion: str) -> _Sets:
        """Objects that certainly and possibly move in this way."""
        certain = sum(1 << index for index, thing in enumerate(self.things) if thing.motion == motion)
        unclear = sum(1 << index for index, thing in enumerate(self.things) if thing.motion is None)
        return certain, certain | unclear


def _in_place(name: str, x: float, y: float) -> tuple[bool, bool]:
    if name == "middle":
        distance = max(abs(x - 0.5), abs(y - 0.5))
        return distance < 0.16, distance < 0.26
    if name.endswith("corner"):
        across = x if " left" in name else 1 - x
        down = y if name.startswith("upper") else 1 - y
        return across < 0.35 and down < 0.35, across < 0.48 and down < 0.48
    distance = {"left": x, "right": 1 - x, "top": y, "bottom": 1 - y}[name]
    return distance < 0.37, distance < 0.5


def _related(thing: Thing, anchor: Thing) -> dict[str, tuple[bool, bool]]:
    dx, dy = thing.x - anchor.x, thing.y - anchor.y
    gap = (dx * dx + dy * dy) ** 0.5 - thing.radius - anchor.radius
    near = (gap < 0.07, gap < 0.2)
    result = {"next to": near}
    for name, ahead, aside in (
        ("left of", -dx, abs(dy)),
        ("right of", dx, abs(dy)),
        ("above", -dy, abs(dx)),
        ("below", dy, abs(dx)),
    ):
        result[name] = (ahead > 0.13 and aside < ahead, ahead > 0.03 and aside < 2.2 * ahead)
    return result


def _extreme(facts: Facts, head: int, superlative: str) -> _Sets:
    """Objects of the head that may be called leftmost, smaller, ...; unclear when the runner-up is close."""
    members = [index for index in range(len(facts.things)) if head >> index & 1]
    if len(members) < 2:
        return 0, head
    if superlative in COMPARISONS:
        if superlative in ("smaller", "bigger") and len(members) != 2:
            return 0, head
        wanted = SIZES[0] if superlative.startswith("small") else SIZES[1]
        fitting = [index for index in members if facts.things[index].size == wanted]
        return (1 << fitting[0], 1 << fitting[0]) if len(fitting) == 1 else (0, head)
    return far_end(facts.things, members, superlative)


def far_end(things: Sequence[Placed], members: Sequence[int], end: str) -> _Sets:
    """Which of the members certainly and possibly is the leftmost (rightmost, topmost, lowest) thing."""
    sign = -1 if end in ("rightmost", "lowest") else 1
    horizontal = end in ("leftmost", "rightmost")
    values = {index: sign * (things[index].x if horizontal else things[index].y) for index in members}
    least = min(values.values())
    close = sum(1 << index for index, value in values.items() if value < least + 0.1)
    return (close, close) if close.bit_count() == 1 else (0, close)


def denotation(description: Description, facts: Facts) -> _Sets:
    """Evaluates a description.

    Returns:
        Bit sets of the objects it is certainly true of and of those it is possibly true of. The description refers to
        object i when both are `1 << i`, and is true of nothing when the second is 0.
    """
    head = facts.head(description)
    certain, possible = (
        (head, head) if description.superlative is None else _extreme(facts, head, description.superlative)
    )
    if description.place is not None:
        here, maybe = facts.places[description.place]
        certain, possible = certain & here, possible & maybe
    if description.motion is not None:
        here, maybe = facts.motions(description.motion)
        certain, possible = certain & here, possible & maybe
    if description.relation is not None:
        name, anchor = description.relation
        known, perhaps = denotation(anchor, facts)
        if known != perhaps or known.bit_count() != 1:
            return 0, possible
        here, maybe = facts.relations[name, known.bit_length() - 1]
        certain, possible = certain & here, possible & maybe
    return certain, possible


def refers_to(description: Description, facts: Facts, target: int) -> bool:
    """Whether the description is true of this object and of no other, with no borderline case."""
    return denotation(description, facts) == (1 << target, 1 << target)


# Finding descriptions ------------------------------------------------------------------------------------------------

_SUBSETS = (
    ("shape",), ("colour",), ("texture",), ("shape", "colour"), ("shape", "texture"), ("colour", "texture"),
    ("shape", "colour", "texture"),
)  # fmt: skip
_SUBSET_WEIGHTS = (1.0, 0.7, 0.4, 1.6, 0.8, 0.5, 0.8)
_HEADS = (("shape",), ("colour",), (), ("texture",), ("shape", "colour"), ("shape", "texture"))


def describe(thing: Thing, aspects: Sequence[str]) -> Description:
    """The words of a thing for these aspects: "shape", "colour", "texture", "size"."""
    return Description(**{aspect: getattr(thing, aspect) for aspect in aspects})


def _attribute_descriptions(facts: Facts, target: int) -> list[tuple[Description, float]]:
    thing = facts.things[target]
    parts = [(describe(thing, aspects), weight) for aspects, weight in zip(_SUBSETS, _SUBSET_WEIGHTS, strict=True)]
    return [(part, weight) for part, weight in parts if facts.head(part) == 1 << target]


def _ambiguous_heads(facts: Facts, target: int, draws: Draws) -> list[tuple[Description, int]]:
    """Partial descriptions of the target that fit other objects as well, in random order, and what they fit."""
    thing = facts.things[target]
    heads = []
    for aspects in draws.shuffled(_HEADS):
        part = describe(thing, aspects)
        fitting = facts.head(part)
        if fitting != 1 << target:
            heads.append((part, fitting))
    return heads


def find_description(kind: str, target: int, facts: Facts, draws: Draws) -> Description | None:
    """A description of a kind that refers to one object.

    Args:
        kind: "attribute" (colour, texture, shape), "size" (a size word or a comparison decides), "place" (a region or
            an extreme position decides) or "relation" (another object decides).
        target: index of the object.
        facts: the scene.
        draws: random decisions.

    Returns:
        The description, or `None` when this scene offers none of the kind.
    """
    if kind == "attribute":
        return _find_attribute(target, facts, draws)
    heads = _ambiguous_heads(facts, target, draws)
    if not heads:
        return None
    if kind == "size":
        return _find_size(target, facts, heads, draws)
    if kind == "place":
        return _find_place(target, facts, heads, draws)
    return _find_relation(target, facts, heads, draws)


def _find_attribute(target: int, facts: Facts, draws: Draws) -> Description | None:
    found = _attribute_descriptions(facts, target)
    if not found:
        return None
    description = draws.weighted([part for part, _ in found], [weight for _, weight in found])
    return replace(description, size=facts.things[target].size) if draws.chance(0.1) else description


def _find_size(target: int, facts: Facts, heads: list[tuple[Description, int]], draws: Draws) -> Description | None:
    options = []
    for part, _ in heads:
        sized = replace(part, size=facts.things[target].size)
        if refers_to(sized, facts, target):
            options.append(sized)
        for word_ in COMPARISONS:
            compared = replace(part, superlative=word_)
            if refers_to(compared, facts, target):
                options.append(compared)
        if len(options) > 2:
            break
    return draws.choice(options) if options else None


def _find_place(target: int, facts: Facts, heads: list[tuple[Description, int]], draws: Draws) -> Description | None:
    regions = [name for name in PLACES if facts.places[name][0] >> target & 1]
    for part, _ in heads:
        options = [replace(part, place=name) for name in regions]
        options += [replace(part, superlative=name) for name in FAR_ENDS]
        options = [option for option in options if refers_to(option, facts, target)]
        if options:
            # The middle is rarely free of rivals, so it is taken more often where it is.
            central = [option for option in options if option.place == "middle"]
            return central[0] if central and draws.chance(0.6) else draws.choice(options)
    return None


def _anchor_description(anchor: int, facts: Facts, draws: Draws) -> Description | None:
    found = _attribute_descriptions(facts, anchor)
    if found:
        return draws.weighted([part for part, _ in found], [weight for _, weight in found])
    sized = replace(describe(facts.things[anchor], ("shape", "colour")), size=facts.things[anchor].size)
    return sized if facts.head(sized) == 1 << anchor else None


def _find_relation(target: int, facts: Facts, heads: list[tuple[Description, int]], draws: Draws) -> Description | None:
    bit = 1 << target
    pairs = [(name, anchor) for name, anchor in facts.relations if facts.relations[name, anchor][0] & bit]
    for part, fitting in heads:
        for name, anchor in draws.shuffled(pairs):
            _, possible = facts.relations[name, anchor]
            if fitting & possible == bit:
                other = _anchor_description(anchor, facts, draws)
                if other is not None:
                    return replace(part, relation=(name, other))
    return None


def find_absent(facts: Facts, draws: Draws) -> Description | None:
    """A plausible description that is true of no object: mostly the words of this scene in another combination."""
    for _ in range(12):
        thing = draws.choice(facts.things)
        manner = draws.random()
        if manner < 0.45:
            description = Description(shape=thing.shape, colour=draws.choice(tuple(COLOURS)))
        elif manner < 0.6:
            description = Description(shape=draws.choice(NAMED_SHAPES), colour=thing.colour)
        elif manner < 0.68:
            description = Description(shape=draws.choice(NAMED_SHAPES))
        elif manner < 0.8:
            description = Description(
                shape=thing.shape, colour=thing.colour if draws.chance(0.5) else None, texture=draws.choice(TEXTURES)
            )
        else:
            colour = thing.colour if draws.chance(0.6) else None
            description = Description(shape=thing.shape, colour=colour, place=draws.choice(PLACES))
        if denotation(description, facts)[1] == 0:
            return description
    return None


# Wording -------------------------------------------------------------------------------------------------------------

NOUNS: dict[str | None, tuple[str, ...]] = {
    "circle": ("circle", "circle", "disc", "ball"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "cross": ("cross", "cross", "plus"),
    "ring": ("ring", "ring", "hoop"),
    "heart": ("heart",),
    "moon": ("moon", "moon", "crescent"),
    "arrow": ("arrow",),
    "diamond": ("diamond", "diamond", "rhombus"),
    "dome": ("dome", "dome", "half circle"),
    "bow": ("bow", "bow", "bow tie"),
    None: ("thing", "object", "shape"),
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {name: (name,) for name in COLOURS} | {
    "cyan": ("cyan", "cyan", "turquoise"),
    "purple": ("purple", "purple", "violet"),
}
TEXTURE_WORDS = {
    "plain": ("plain", "plain", "solid"),
    "striped": ("striped", "striped", "stripy"),
    "dotted": ("dotted", "dotted", "spotted"),
    "checkered": ("checkered", "checkered", "checked"),
}
TEXTURE_PHRASES = {
    "plain": ("without a pattern",),
    "striped": ("with stripes",),
    "dotted": ("with dots", "with spots"),
    "checkered": ("with checks",),
}
SIZE_WORDS = {"small": ("small", "small", "little", "tiny"), "big": ("big", "big", "large")}
SUPERLATIVE_WORDS = {
    "leftmost": ("leftmost",),
    "rightmost": ("rightmost",),
    "topmost": ("topmost", "highest"),
    "lowest": ("lowest", "bottommost"),
    "smaller": ("smaller",),
    "bigger": ("bigger", "larger"),
    "smallest": ("smallest",),
    "biggest": ("biggest", "largest"),
}
SUPERLATIVE_PHRASES = {
    "leftmost": ("on the far left", "furthest to the left"),
    "rightmost": ("on the far right", "furthest to the right"),
    "topmost": ("at the very top",),
    "lowest": ("at the very bottom",),
}
PLACE_PHRASES = {
    "left": ("on the left", "on the left", "on the left side"),
    "right": ("on the right", "on the right", "on the right side"),
    "top": ("at the top", "in the upper half"),
    "bottom": ("at the bottom", "in the lower half"),
    "middle": ("in the middle", "in the center"),
    "upper left corner": ("in the upper left corner", "in the top left corner", "at the top left"),
    "upper right corner": ("in the upper right corner", "in the top right corner", "at the top right"),
    "lower left corner": ("in the lower left corner", "in the bottom left corner", "at the bottom left"),
    "lower right corner": ("in the lower right corner", "in the bottom right corner", "at the bottom right"),
}
RELATION_PHRASES = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "above": ("above", "above", "over"),
    "below": ("below", "under"),
    "next to": ("next to", "beside", "close to"),
}
MOTION_PHRASES = {
    "left": ("moving left", "moving to the left", "going left"),
    "right": ("moving right", "moving to the right", "going right"),
    "up": ("moving up", "going up"),
    "down": ("moving down", "going down"),
    "still": ("standing still", "not moving"),
}
OPENINGS = ("the {}",) * 10 + (
    "{}",
    "{}",
    "find the {}",
    "select the {}",
    "segment the {}",
    "show me the {}",
    "where is the {}",
)
QUESTIONS = (
    "which {} is {}",
    "the {} that is {}",
    "the {} that is {}",
    "find the {} that is {}",
    "the {} which is {}",
)
_COLOURED = ("{} colored", "{} coloured")


def word(description: Description, draws: Draws) -> str:
    """One of the wordings of a description, lower case, without punctuation."""
    adjectives = [
        words[value]
        for words, value in (
            (SIZE_WORDS, description.size),
            (TEXTURE_WORDS, description.texture),
            (COLOUR_WORDS, description.colour),
        )
        if value is not None
    ]
    superlative = description.superlative
    if adjectives and superlative is None and draws.chance(0.16):
        return _as_question(description, adjectives, draws)
    return draws.choice(OPENINGS).format(_noun_phrase(description, draws) + _tail(description, draws))


def _as_question(description: Description, adjectives: Sequence[Sequence[str]], draws: Draws) -> str:
    predicate = " and ".join(draws.choice(words) for words in draws.shuffled(adjectives))
    tail = _tail(description, draws)
    noun = draws.choice(NOUNS[description.shape])
    if tail:
        predicate += " and" + tail
    return draws.choice(QUESTIONS).format(noun, predicate)


def superlative_words(superlative: str | None, draws: Draws) -> tuple[list[str], str]:
    """What is said of a superlative before the noun, and after it (with a leading space)."""
    if superlative is None:
        return [], ""
    if superlative in SUPERLATIVE_PHRASES and draws.chance(0.4):
        return [], " " + draws.choice(SUPERLATIVE_PHRASES[superlative])
    return [draws.choice(SUPERLATIVE_WORDS[superlative])], ""


def _noun_phrase(description: Description, draws: Draws) -> str:
    parts, tail = superlative_words(description.superlative, draws)
    if description.size is not None:
        parts.append(draws.choice(SIZE_WORDS[description.size]))
    if description.texture is not None:
        if draws.chance(0.3):
            tail = " " + draws.choice(TEXTURE_PHRASES[description.texture]) + tail
        else:
            parts.append(draws.choice(TEXTURE_WORDS[description.texture]))
    if description.colour is not None:
        colour = draws.choice(COLOUR_WORDS[description.colour])
        parts.append(draws.choice(_COLOURED).format(colour) if draws.chance(0.05) else colour)
    parts.append(draws.choice(NOUNS[description.shape]))
    return " ".join(parts) + tail


def _tail(description: Description, draws: Draws) -> str:
    return tail_words(description.place, description.relation, description.motion, _noun_phrase, draws)


def tail_words(
    place: str | None,
    relation: tuple[str, Meaning] | None,
    motion: str | None,
    noun_phrase: Callable[[Meaning, Draws], str],
    draws: Draws,
) -> str:
    """Place, relation and motion, with a leading space; `noun_phrase` words the other object of the relation."""
    tail = ""
    if place is not None:
        tail += " " + draws.choice(PLACE_PHRASES[place])
    if relation is not None:
        name, anchor = relation
        tail += " " + draws.choice(RELATION_PHRASES[name]) + " the " + noun_phrase(anchor, draws)
    if motion is not None:
        tail += " " + draws.choice(MOTION_PHRASES[motion])
    return tail


def _surface_texts() -> Iterator[str]:
    tables: tuple[Mapping[str | None, tuple[str, ...]] | Mapping[str, tuple[str, ...]], ...] = (
        NOUNS, COLOUR_WORDS, TEXTURE_WORDS, TEXTURE_PHRASES, SIZE_WORDS, SUPERLATIVE_WORDS, SUPERLATIVE_PHRASES,
        PLACE_PHRASES, RELATION_PHRASES, MOTION_PHRASES,
    )  # fmt: skip
    for table in tables:
        for texts in table.values():
            yield from texts
    yield from (*OPENINGS, *QUESTIONS, *_COLOURED, "and")


def vocabulary() -> list[str]:
    """All words that the grammar can say, sorted."""
    return sorted({part for part in " ".join(_surface_texts()).split() if part != "{}"})
