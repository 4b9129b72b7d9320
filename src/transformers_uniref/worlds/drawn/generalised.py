"""Sentences about none, one or many objects of a drawn scene: numbers, all, several together, all but some, none.

The kinds are those of generalised referring (Liu et al., "GRES: Generalized Referring Expression Segmentation", CVPR
2023). What a sentence means is settled by [`denotation`], as in `grammar.py`: no borderline case decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ..scenes import Reference
from .draws import Draws
from .grammar import (
    COLOUR_WORDS,
    FAR_ENDS,
    NOUNS,
    PLACE_PHRASES,
    PLACES,
    SIZE_WORDS,
    SUPERLATIVE_PHRASES,
    SUPERLATIVE_WORDS,
    TEXTURE_WORDS,
    Description,
    Facts,
    denotation,
    describe,
    find_description,
    superlative_words,
)
from .scene import SIZES
from .shapes import NAMED_SHAPES
from .textures import COLOURS, TEXTURES

GENERALISED_KINDS = ("one", "number", "all", "coordination", "exception", "absent", "near-absent")
"""`one`: "the leftmost star". `number`: "two red circles", where there are exactly two. `all`: "every star on the
left". `coordination`: "the ring and the blue square". `exception`: "all but the largest". `absent`: of a shape that
is not there. `near-absent`: of a shape that is there, but in another colour, pattern, size or place."""

_TRIALS = 12
_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")
_ASPECTS = (
    ("shape",), ("colour",), ("texture",), ("size",), ("shape", "colour"), ("shape", "size"), ("shape", "texture"),
    ("colour", "size"), ("colour", "texture"), (),
)  # fmt: skip
_ASPECT_WEIGHTS = (1.4, 1.0, 0.5, 0.5, 1.6, 0.5, 0.4, 0.3, 0.3, 0.3)
_OPENINGS = ("{}",) * 8 + ("find {}", "select {}", "segment {}", "show me {}")
_ONE_FORMS = ("one {}", "exactly one {}", "the only {}", "the one {}")
_NUMBER_FORMS = ("{} {}", "{} {}", "the {} {}", "the {} {}", "exactly {} {}")
_ALL_FORMS = ("all {}", "all {}", "all the {}", "the {}", "{}")
_EACH_FORMS = ("every {}", "every {}", "each {}")
_EVERYTHING = "everything"
_BUT = ("but", "except", "except for", "apart from")

_Finder = Callable[[Facts, Draws, bool], tuple[str, int] | None]
"""From a scene, and whether sentences speak of looks alone, to a wording and the bit set of what it means."""


def generalised_sentences(facts: Facts, draws: Draws, easy: bool = False) -> list[Reference]:
    """At most one sentence of each of `GENERALISED_KINDS`, in random order.

    Args:
        facts: the scene.
        draws: random decisions.
        easy: speak of looks alone, not of places.

    Returns:
        Sentences with the indices of all objects that they mean, ascending.
    """
    found = []
    for kind in draws.shuffled(GENERALISED_KINDS):
        said = _FINDERS[kind](facts, draws, easy)
        if said is not None:
            text, members = said
            numbers = tuple(index for index in range(len(facts.things)) if members >> index & 1)
            found.append(Reference(draws.choice(_OPENINGS).format(text), numbers, kind))
    return found


# Finding -------------------------------------------------------------------------------------------------------------


def _settled(description: Description, facts: Facts) -> int:
    """The objects that a description is true of; none where a borderline case would decide."""
    certain, possible = denotation(description, facts)
    return certain if certain == possible else 0


def _find_group(facts: Facts, draws: Draws, easy: bool, least: int) -> tuple[Description, int] | None:
    for _ in range(_TRIALS):
        description = describe(draws.choice(facts.things), draws.weighted(_ASPECTS, _ASPECT_WEIGHTS))
        if not easy and draws.chance(0.35):
            description = replace(description, place=draws.choice(PLACES))
        members = _settled(description, facts)
        if members.bit_count() >= least:
            return description, members
    return None


def _one(facts: Facts, draws: Draws, easy: bool) -> tuple[str, int] | None:
    for target in draws.shuffled(range(len(facts.things))):
        for kind in draws.shuffled(("attribute",) if easy else ("attribute", "size", "place")):
            description = find_description(kind, target, facts, draws)
            if description is not None:
                return f"the {_phrase(description, draws)}", 1 << target
    return None


def _number(facts: Facts, draws: Draws, easy: bool) -> tuple[str, int] | None:
    # A number above one is rarer in a scene, so it is looked for first.
    found = _find_group(facts, draws, easy, 2) if draws.chance(0.8) else None
    found = found or _find_group(facts, draws, easy, 1)
    if found is None:
        return None
    description, members = found
    return _counted(description, members.bit_count(), draws), members


def _all(facts: Facts, draws: Draws, easy: bool) -> tuple[str, int] | None:
    found = _find_group(facts, draws, easy, 2)
    return found and (_every(found[0], draws), found[1])


def _coordination(facts: Facts, draws: Draws, easy: bool) -> tuple[str, int] | None:
    """Two or three descriptions of looks, each with its own article, so that no word belongs to several of them."""
    wanted = 3 if draws.chance(0.15) else 2
    parts: list[str] = []
    together = 0
    for _ in range(2 * _TRIALS):
        description = describe(draws.choice(facts.things), draws.weighted(_ASPECTS[:-1], _ASPECT_WEIGHTS[:-1]))
        members = _settled(description, facts)
        if members & together or (members.bit_count() > 1 and draws.chance(0.5)):
            continue
        many = members.bit_count() > 1
        article = draws.choice(("the", "all")) if many else "the"
        parts.append(f"{article} {_phrase(description, draws, many)}")
        together |= members
        if len(parts) == wanted:
            break
    return (" and ".join(parts), together) if len(parts) > 1 else None


def _exception(facts: Facts, draws: Draws, easy: bool) -> tuple[str, int] | None:
    for _ in range(_TRIALS):
        base = describe(
            draws.choice(facts.things), draws.choice(((), (), ("shape",), ("colour",), ("shape", "colour")))
        )
        members = _settled(base, facts)
        if members.bit_count() < 2:
            continue
        find = _excluded_look if easy or draws.chance(0.6) else _excluded_extreme
        found = find(base, members, facts, draws)
        if found is not None:
            text, excluded = found
            whole = _EVERYTHING if base == Description() and draws.chance(0.5) else _whole(base, draws)
            return f"{whole} {draws.choice(_BUT)} {text}", members & ~excluded
    return None


def _excluded_extreme(base: Description, members: int, facts: Facts, draws: Draws) -> tuple[str, int] | None:
    for superlative in draws.shuffled((*FAR_ENDS, "smallest", "biggest")):
        excluded = _settled(replace(base, superlative=superlative), facts)
        if excluded.bit_count() == 1:
            return f"the {draws.choice(SUPERLATIVE_WORDS[superlative])}{draws.choice(('', ' one'))}", excluded
    return None


def _excluded_look(base: Description, members: int, facts: Facts, draws: Draws) -> tuple[str, int] | None:
    """Some of the members by a look that the base leaves open."""
    open_aspects = [aspect for aspect in ("shape", "colour", "texture", "size") if getattr(base, aspect) is None]
    for aspect in draws.shuffled(open_aspects):
        thing = draws.choice([thing for index, thing in enumerate(facts.things) if members >> index & 1])
        look = describe(thing, (aspect,))
        excluded = _settled(look, facts) & members
        if excluded == members:
            continue
        many = excluded.bit_count() > 1
        if aspect == "shape" or base == Description():
            return f"the {_phrase(look, draws, many)}", excluded
        return f"the {' '.join(_adjectives(look, draws))} one{'s' * many}", excluded
    return None


def _absent(facts: Facts, draws: Draws, easy: bool) -> tuple[str, int] | None:
    missing = [shape for shape in NAMED_SHAPES if not facts.head(Description(shape=shape))]
    colour = draws.choice(tuple(COLOURS)) if draws.chance(0.5) else None
    return _of_nothing(Description(shape=draws.choice(missing), colour=colour), draws), 0


def _near_absent(facts: Facts, draws: Draws, easy: bool) -> tuple[str, int] | None:
    for _ in range(_TRIALS):
        description = Description(shape=draws.choice(facts.things).shape)
        aspect = draws.weighted(("colour", "texture", "size", "place"), (0.6, 0.15, 0.1, 0.0 if easy else 0.15))
        if aspect == "colour":
            # Mostly a colour that shows, so that colour and shape have to be found together.
            shown = sorted({thing.colour for thing in facts.things})
            description = replace(description, colour=draws.choice(shown if draws.chance(0.6) else tuple(COLOURS)))
        elif aspect == "texture":
            description = replace(description, texture=draws.choice(TEXTURES))
        elif aspect == "size":
            description = replace(description, size=draws.choice(SIZES))
        else:
            description = replace(description, place=draws.choice(PLACES))
        if denotation(description, facts)[1] == 0:
            return _of_nothing(description, draws), 0
    return None


_FINDERS: dict[str, _Finder] = dict(
    zip(GENERALISED_KINDS, (_one, _number, _all, _coordination, _exception, _absent, _near_absent), strict=True)
)


# Wording -------------------------------------------------------------------------------------------------------------


def _of_nothing(description: Description, draws: Draws) -> str:
    """In the words of the other kinds, so that the form of a sentence does not tell whether anything is meant."""
    form = draws.random()
    if form < 0.45:
        return f"the {_phrase(description, draws)}"
    if form < 0.75:
        return _counted(description, draws.integer(1, 3), draws)
    return _every(description, draws)


def _counted(description: Description, count: int, draws: Draws) -> str:
    if count == 1:
        return draws.choice(_ONE_FORMS).format(_phrase(description, draws))
    phrase = _phrase(description, draws, many=True)
    if count == 2 and draws.chance(0.3):
        return f"both {phrase}"
    return draws.choice(_NUMBER_FORMS).format(_NUMBERS[count - 1], phrase)


def _every(description: Description, draws: Draws) -> str:
    if description == Description() and draws.chance(0.5):
        return _EVERYTHING
    if draws.chance(0.3):
        return draws.choice(_EACH_FORMS).format(_phrase(description, draws))
    return draws.choice(_ALL_FORMS).format(_phrase(description, draws, many=True))


def _whole(description: Description, draws: Draws) -> str:
    """All of them, before what is left out."""
    if draws.chance(0.3):
        return f"every {_phrase(description, draws)}"
    return f"all {draws.choice(('', 'the '))}{_phrase(description, draws, many=True)}"


def _adjectives(description: Description, draws: Draws) -> list[str]:
    pairs = ((SIZE_WORDS, description.size), (TEXTURE_WORDS, description.texture), (COLOUR_WORDS, description.colour))
    return [draws.choice(words[value]) for words, value in pairs if value is not None]


def _phrase(description: Description, draws: Draws, many: bool = False) -> str:
    before, after = superlative_words(description.superlative, draws)
    noun = draws.choice(NOUNS[description.shape])
    words = [*before, *_adjectives(description, draws), _plural(noun) if many else noun]
    place = "" if description.place is None else " " + draws.choice(PLACE_PHRASES[description.place])
    return " ".join(words) + after + place


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x")) else "s")


def _surface_texts() -> Iterable[str]:
    nouns = [noun for of_shape in NOUNS.values() for noun in of_shape]
    yield from (*nouns, *map(_plural, nouns))
    tables = (COLOUR_WORDS, TEXTURE_WORDS, SIZE_WORDS, SUPERLATIVE_WORDS, SUPERLATIVE_PHRASES, PLACE_PHRASES)
    for table in tables:
        for texts in table.values():
            yield from texts
    forms: Sequence[str] = (*_OPENINGS, *_ONE_FORMS, *_NUMBER_FORMS, *_ALL_FORMS, *_EACH_FORMS, *_BUT, *_NUMBERS)
    yield from (*forms, _EVERYTHING, "both", "the", "and", "one", "ones")


def generalised_vocabulary() -> list[str]:
    """All words that these sentences can say, sorted; some of them `grammar.vocabulary` has not."""
    return sorted({part for part in " ".join(_surface_texts()).split() if part != "{}"})
