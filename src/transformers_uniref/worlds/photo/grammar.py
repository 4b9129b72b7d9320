"""Referring expressions about photographs: what they mean, when they are true, and how they are worded.

As in the procedural world, meanings are evaluated in three-valued logic: the objects that a description is certainly
true of, and those that it is possibly true of. Photographs add two kinds of doubt: words that are borderline for an
object, and things that the background shows without a mask. The latter stand together as one unlabelled object that may
be anywhere and is possibly anything that its nouns say; no sentence may be possible for it. Words of places, sizes,
relations and motions, and the openings of sentences, are those of the procedural world.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..drawn.draws import Draws
from ..drawn.grammar import (
    COLOUR_WORDS,
    COMPARISONS,
    FAR_ENDS,
    MOTION_PHRASES,
    OPENINGS,
    PLACE_PHRASES,
    PLACES,
    QUESTIONS,
    RELATION_PHRASES,
    RELATIONS,
    SUPERLATIVE_PHRASES,
    SUPERLATIVE_WORDS,
    Facts,
    Thing,
    far_end,
    superlative_words,
    tail_words,
)
from .names import DAVIS_NAMES, Names

_CLEARLY_LARGER = 1.35
"""Ratio of extents from which one object may be called bigger than another."""


@dataclass(frozen=True)
class PhotoThing:
    """What the grammar knows of an object.

    Attributes:
        names: its words.
        x, y: middle of its visible part in image sides.
        radius: half the side of the square that has the area of its bounding box, in image sides.
        extent: square root of its area, hidden parts included, in image sides.
        motion: a word for its motion, `None` where there is none.
    """

    names: Names
    x: float
    y: float
    radius: float
    extent: float
    motion: str | None = None


@dataclass(frozen=True)
class PhotoDescription:
    """Meaning of a referring expression; `None` leaves an aspect open.

    Attributes:
        noun: what it is.
        colour, detail: words before and after the noun.
        superlative: "leftmost", ..., "smaller", "biggest", ... among the objects that these words fit.
        place: a region of the picture.
        relation: a spatial relation to another object and the description of that object.
        motion: how the object moves in a clip.
    """

    noun: str
    colour: str | None = None
    detail: str | None = None
    superlative: str | None = None
    place: str | None = None
    relation: tuple[str, PhotoDescription] | None = None
    motion: str | None = None


_Sets = tuple[int, int]
"""Bit sets of objects: certainly true, possibly true."""


class PhotoFacts:
    """A scene as bit sets: bit i for object i, one bit more for all that has no mask."""

    def __init__(self, things: Sequence[PhotoThing], clutter: Iterable[str] = ()) -> None:
        self.things = tuple(things)
        self.clutter = frozenset(clutter)
        self.unlabelled = 1 << len(self.things)
        # Places, relations and motions are those of the procedural world, which asks for looks that play no role here.
        self.spatial = Facts([Thing("", "", "", "", one.x, one.y, one.radius, one.motion) for one in self.things])

    def head(self, description: PhotoDescription) -> _Sets:
        """Objects that the noun, the colour and the detail certainly and possibly fit."""
        certain = possible = 0
        for index, thing in enumerate(self.things):
            names = thing.names
            fits = _fits(description.noun, names.nouns, names.perhaps)
            for word_, sure, perhaps in (
                (description.colour, names.colours, names.perhaps_colours),
                (description.detail, names.details, names.perhaps_details),
            ):
                if word_ is not None:
                    certain_word, possible_word = _fits(word_, sure, perhaps)
                    fits = (fits[0] and certain_word, fits[1] and possible_word)
            certain |= fits[0] << index
            possible |= fits[1] << index
        return certain, possible | (self.unlabelled if description.noun in self.clutter else 0)


def _fits(word_: str, sure: Sequence[str], perhaps: Sequence[str]) -> tuple[bool, bool]:
    """Whether a word is certainly and possibly true; where nothing was told, every word is possible."""
    certain = word_ in sure
    return certain, certain or word_ in perhaps or not (sure or perhaps)


def _extreme(facts: PhotoFacts, head: _Sets, superlative: str) -> _Sets:
    """Objects of the head that may be called leftmost, smaller, ...; unclear when the runner-up is close."""
    certain, possible = head
    unclear = (0, possible)
    members = [index for index in range(len(facts.things)) if possible >> index & 1]
    if certain != possible or len(members) < 2:
        return unclear
    if superlative in COMPARISONS:
        if superlative in ("smaller", "bigger") and len(members) != 2:
            return unclear
        ranked = sorted(members, key=lambda index: facts.things[index].extent)
        if superlative.startswith("big"):
            winner, second = ranked[-1], ranked[-2]
        else:
            winner, second = ranked[0], ranked[1]
        extents = sorted((facts.things[winner].extent, facts.things[second].extent))
        return (1 << winner, 1 << winner) if extents[1] > _CLEARLY_LARGER * extents[0] else unclear
    return far_end(facts.things, members, superlative)


def denotation(description: PhotoDescription, facts: PhotoFacts) -> _Sets:
    """Evaluates a description.

    Returns:
        Bit sets of the objects it is certainly true of and of those it is possibly true of. The description refers to
        object i when both are `1 << i`, and is true of nothing when the second is 0.
    """
    certain, possible = facts.head(description)
    if description.superlative is not None:
        certain, possible = _extreme(facts, (certain, possible), description.superlative)
    conditions = []
    if description.place is not None:
        conditions.append(facts.spatial.places[description.place])
    if description.motion is not None:
        conditions.append(facts.spatial.motions(description.motion))
    if description.relation is not None:
        name, anchor = description.relation
        known, perhaps = denotation(anchor, facts)
        if known != perhaps or known.bit_count() != 1:
            return 0, possible
        conditions.append(facts.spatial.relations[name, known.bit_length() - 1])
    for here, maybe in conditions:
        certain, possible = certain & here, possible & (maybe | facts.unlabelled)
    return certain, possible


def refers_to(description: PhotoDescription, facts: PhotoFacts, target: int) -> bool:
    """Whether the description is true of this object and of nothing else, with no borderline case."""
    return denotation(description, facts) == (1 << target, 1 << target)


# Finding descriptions ------------------------------------------------------------------------------------------------


def _noun(names: Names, draws: Draws) -> str:
    return names.category if draws.chance(0.6) else draws.choice(names.nouns)


def _heads(names: Names, draws: Draws) -> list[PhotoDescription]:
    """Descriptions by looks alone, in random order: nouns, with a colour, with a detail."""
    heads = [PhotoDescription(noun) for noun in names.nouns]
    for colour in names.colours:
        heads.append(PhotoDescription(_noun(names, draws), colour=colour))
    for detail in names.details:
        heads.append(PhotoDescription(_noun(names, draws), detail=detail))
    return draws.shuffled(heads)


def find_photo_description(kind: str, target: int, facts: PhotoFacts, draws: Draws) -> PhotoDescription | None:
    """A description of a kind ("attribute", "size", "place" or "relation") that refers to one object.

    Sizes, places and relations are preferred where the looks alone would be ambiguous; where all objects differ, a
    third of the calls add one to looks that already suffice.

    Returns:
        The description, or `None` when this scene offers none of the kind.
    """
    heads = _heads(facts.things[target].names, draws)
    alone = [head for head in heads if refers_to(head, facts, target)]
    if kind == "attribute":
        if not alone:
            return None
        named = [head for head in alone if head.noun == facts.things[target].names.category]
        return draws.choice(named if named and draws.chance(0.5) else alone)
    ambiguous = [head for head in heads if head not in alone and not facts.head(head)[1] & facts.unlabelled]
    pool = ambiguous if ambiguous or not draws.chance(0.35) else alone
    for head in pool:
        found = _extended(kind, head, target, facts, draws)
        if found is not None:
            return found
    return None


def _extended(
    kind: str, head: PhotoDescription, target: int, facts: PhotoFacts, draws: Draws
) -> PhotoDescription | None:
    """The head with a size, a place or a relation that makes it refer to the target."""
    if kind == "size":
        options = [replace(head, superlative=name) for name in COMPARISONS]
    elif kind == "place":
        options = [replace(head, place=name) for name in PLACES]
        options += [replace(head, superlative=name) for name in FAR_ENDS]
    else:
        options = []
        for name, anchor in draws.shuffled([(name, i) for name in RELATIONS for i in range(len(facts.things))]):
            if anchor != target and facts.spatial.relations[name, anchor][0] >> target & 1:
                other = find_photo_description("attribute", anchor, facts, draws)
                if other is not None:
                    options.append(replace(head, relation=(name, other)))
    options = [option for option in options if refers_to(option, facts, target)]
    return draws.choice(options) if options else None


def find_absent_photo(
    facts: PhotoFacts, vocabulary_of: Sequence[Names], places: bool, draws: Draws
) -> PhotoDescription | None:
    """A plausible description that is true of nothing in the scene, with words of the given names.

    Args:
        vocabulary_of: names of the objects that other scenes show.
        places: whether a place may be wrong; clips allow none.
    """
    colours = sorted({colour for names in vocabulary_of for colour in names.colours})
    for _ in range(12):
        manner = draws.random()
        if manner < 0.5 or not facts.things:
            names = draws.choice(vocabulary_of)
            description = draws.choice(_heads(names, draws))
        elif manner < 0.75 and places:
            names = draws.choice(facts.things).names
            description = PhotoDescription(_noun(names, draws), place=draws.choice(PLACES))
        else:
            names = draws.choice(facts.things).names
            if not names.colours or not colours:
                continue
            description = PhotoDescription(_noun(names, draws), colour=draws.choice(colours))
        if denotation(description, facts)[1] == 0:
            return description
    return None


# Wording -------------------------------------------------------------------------------------------------------------


def word_photo(description: PhotoDescription, draws: Draws) -> str:
    """One of the wordings of a description, lower case, without punctuation."""
    tail = tail_words(description.place, description.relation, description.motion, _noun_phrase, draws)
    colour = description.colour
    if colour is not None and description.superlative is None and draws.chance(0.16):
        predicate = draws.choice(COLOUR_WORDS.get(colour, (colour,)))
        return draws.choice(QUESTIONS).format(description.noun, predicate + (" and" + tail if tail else ""))
    return draws.choice(OPENINGS).format(_noun_phrase(description, draws) + tail)


def _noun_phrase(description: PhotoDescription, draws: Draws) -> str:
    parts, tail = superlative_words(description.superlative, draws)
    if description.colour is not None:
        parts.append(draws.choice(COLOUR_WORDS.get(description.colour, (description.colour,))))
    parts.append(description.noun)
    if description.detail is not None:
        parts.append(description.detail)
    return " ".join(parts) + tail


def photo_vocabulary(names: Mapping[str, Names] = DAVIS_NAMES) -> list[str]:
    """All words that sentences about these sequences can hold, sorted; by default those of the bundled table."""
    texts: list[str] = [*OPENINGS, *QUESTIONS, "and"]
    for table in (SUPERLATIVE_WORDS, SUPERLATIVE_PHRASES, PLACE_PHRASES, RELATION_PHRASES, MOTION_PHRASES):
        for phrases in table.values():
            texts += phrases
    for one in names.values():
        texts += [*one.nouns, *one.details]
        for colour in one.colours:
            texts += COLOUR_WORDS.get(colour, (colour,))
    return sorted({part for part in " ".join(texts).split() if part != "{}"})
