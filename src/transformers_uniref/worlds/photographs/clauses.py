"""What can be said of an object beside its class: "holding an umbrella", "in a red shirt", "at the left edge".

People tell one of several alike apart by two or three things at once. A clause therefore knows of every object alike
whether it holds, does not, or cannot be told; a sentence joins those that together leave one object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..drawn.draws import Draws
from .facts import Facts
from .nouns import noun_for

if TYPE_CHECKING:
    from .grammar import Thing

HELD = frozenset(
    name.replace("_", " ")
    for name in """
    umbrella tennis_racket baseball_bat cell_phone handbag backpack suitcase frisbee kite bottle cup wine_glass
    knife fork spoon banana apple sandwich hot_dog pizza donut cake book remote toothbrush teddy_bear sports_ball
    baseball_glove laptop hair_drier scissors surfboard skateboard snowboard bowl
    """.split()  # noqa: SIM905
)
"""Classes that a person may hold or carry."""
RIDDEN = frozenset(["horse", "bicycle", "motorcycle", "elephant", "skateboard", "surfboard", "skis", "snowboard"])
SEATS = frozenset(["chair", "couch", "bench", "bed"])
_CARRIERS = frozenset(["car", "bus", "truck", "train", "boat"])
_PERSON = "person"
_EDGE = 0.01
_CLEAR_OF_EDGE = 0.04
_TOUCH, _APART = 0.01, 0.06
"""Boxes so near touch; boxes so far apart surely do not."""


@dataclass(frozen=True)
class Clause:
    """Words that follow a noun, what of an object they speak about, and the truth for every object alike.

    Attributes:
        truth: by the object's number: True, False, or None where it cannot be told.
    """

    words: str
    topic: str
    truth: dict[int, bool | None]


def clauses_of(draws: Draws, thing: Thing, group: Sequence[Thing], things: Sequence[Thing]) -> list[Clause]:
    """Clauses that hold of `thing`, one of `group`, the objects of its class among all `things`; in random order."""
    found = []
    for words, topic, holds in _candidates(draws, thing, group, things):
        truth = {other.number: holds(other) for other in group}
        if truth[thing.number]:
            found.append(Clause(words, topic, truth))
    return draws.shuffled(found)


def joined(draws: Draws, clauses: Sequence[Clause], number: int, most: int = 3) -> list[Clause]:
    """Clauses that together hold of one object alone, none of them said in vain where others are alike; or none.

    Args:
        clauses: all hold of the object `number`.
        most: how many may be joined.
    """
    chosen: list[Clause] = []
    left = set(clauses[0].truth) - {number} if clauses else set()
    for clause in clauses:
        without = {other for other in left if clause.truth[other] is False}
        topics = {one.topic for one in chosen}
        if clause.topic in topics or (left and not without) or len(chosen) == most:
            continue
        chosen.append(clause)
        left -= without
        if not left and draws.chance(0.6):
            break
    return [] if left else chosen


def sentence_of(draws: Draws, noun: str, chosen: Sequence[Clause], person: bool) -> str:
    """The noun with its clauses, as people string them together."""
    noun = draws.choice([_PERSON, _PERSON, "one"]) if noun == "someone" else noun
    link = draws.weighted(["", " who is" if person else " that is", " which is"], [7, 2, 0.3])
    words = draws.choice([" ", " ", " and ", ", "]).join(clause.words for clause in chosen)
    if chosen[0].words.startswith(("with", "without")):
        link = ""
    article = draws.choice(["the ", "the ", "the ", "", "an " if noun[0] in "aeiou" else "a "])
    return f"{article}{noun}{link} {words}"


_Candidate = tuple[str, str, Callable[["Thing"], "bool | None"]]


def _candidates(draws: Draws, thing: Thing, group: Sequence[Thing], things: Sequence[Thing]) -> Iterator[_Candidate]:
    yield from _places(draws)
    yield from _edges(draws)
    yield from _sizes(draws, group)
    if thing.name == _PERSON:
        yield from _clothes(draws, thing)
        yield from _doings(draws, things)
    else:
        yield from _colours(draws, thing)
    yield from _neighbours(draws, thing, things)


def _placed(one: Thing, axis: str, low: float, high: float, margin: float = 0.06) -> bool | None:
    """Whether its centre lies in a range; None near the ends."""
    value: float = getattr(one.facts, axis)
    if low + margin / 2 <= value <= high - margin / 2:
        return True
    return False if value <= low - margin or value >= high + margin else None


def _places(draws: Draws) -> Iterator[_Candidate]:
    for word, low, high in (("left", -1.0, 0.42), ("right", 0.58, 2.0)):
        forms = [f"on the {word}", f"on the {word} side", f"to the {word}", f"at the {word} of the picture"]
        yield draws.choice(forms), "x", partial(_placed, axis="x", low=low, high=high)
    middle = draws.choice(["in the middle", "in the center", "in the centre of the picture"])
    yield middle, "x", partial(_placed, axis="x", low=0.36, high=0.64)
    for word, low, high in (("top", -1.0, 0.36), ("bottom", 0.64, 2.0)):
        forms = [f"at the {word}", f"near the {word}", f"at the {word} of the picture"]
        yield draws.choice(forms), "y", partial(_placed, axis="y", low=low, high=high)


def _edges(draws: Draws) -> Iterator[_Candidate]:
    for word in ("left", "right", "top", "bottom"):
        forms = [f"at the {word} edge", f"cut off at the {word}", f"at the {word} edge of the picture"]
        if word in ("left", "right"):
            forms.append("partly out of the picture")
        yield draws.choice(forms), "edge", partial(_at_edge, side=word)


def _at_edge(one: Thing, side: str) -> bool | None:
    place: float = getattr(one.facts, side)
    distance = 1 - place if side in ("right", "bottom") else place
    return True if distance <= _EDGE else False if distance >= _CLEAR_OF_EDGE else None


def _sizes(draws: Draws, group: Sequence[Thing]) -> Iterator[_Candidate]:
    """In front and large, or far off and small, against the middle one of its class."""
    if len(group) < 2:
        return
    areas = sorted(one.facts.area for one in group)
    typical = areas[len(areas) // 2] if len(areas) > 2 else (areas[0] * areas[1]) ** 0.5
    low = sorted(one.facts.bottom for one in group)[len(group) // 2]
    front = draws.choice(["in front", "in the foreground", "close to the camera", "up front"])
    yield front, "depth", partial(_of_size, typical=typical, low=low, sign=1)
    back = draws.choice(["in the background", "in the back", "far away", "in the distance"])
    yield back, "depth", partial(_of_size, typical=typical, low=low, sign=-1)


def _of_size(one: Thing, typical: float, low: float, sign: int) -> bool | None:
    ratio = (one.facts.area / typical) ** sign
    if ratio >= 1.4 and sign * (one.facts.bottom - low) >= 0:
        return True
    return False if ratio < 0.9 else None


def _clothes(draws: Draws, thing: Thing) -> Iterator[_Candidate]:
    """Colours of the upper and lower half of a person."""
    facts = thing.facts
    if facts.colour:
        colour = facts.colour
        words = draws.choice([f"in {colour}", f"wearing {colour}", f"dressed in {colour}", f"in {colour} clothes"])
        yield words, "clothes", partial(_has_colour, part="colour", colour=colour)
    if facts.upper:
        upper = facts.upper
        piece = draws.choice(["shirt", "shirt", "top", "jacket", "t-shirt", "coat", "sweater"])
        words = draws.choice(["in a", "wearing a", "in the", "with a", "with the"])
        article = f"{words}n" if words.endswith(" a") and upper == "orange" else words
        yield f"{article} {upper} {piece}", "upper", partial(_has_colour, part="upper", colour=upper)
    if facts.lower:
        lower = facts.lower
        piece = draws.choice(["pants", "pants", "shorts", "trousers", "jeans" if lower == "blue" else "pants"])
        words = draws.choice(["in", "wearing", "with"])
        yield f"{words} {lower} {piece}", "lower", partial(_has_colour, part="lower", colour=lower)


def _has_colour(one: Thing, part: str, colour: str) -> bool | None:
    seen = getattr(one.facts, part)
    return seen == colour if seen else None


def _colours(draws: Draws, thing: Thing) -> Iterator[_Candidate]:
    colour = thing.facts.colour
    if colour:
        words = draws.choice([f"that is {colour}", f"with the {colour} color", f"in {colour}", f"of {colour} color"])
        yield words, "colour", partial(_has_colour, part="colour", colour=colour)


def _doings(draws: Draws, things: Sequence[Thing]) -> Iterator[_Candidate]:
    """What a person holds, rides, sits on or sits in, by touch; of those who do not touch it, "without"."""
    for name in sorted({one.name for one in things} & (HELD | RIDDEN | SEATS | _CARRIERS)):
        marks = [one.facts for one in things if one.name == name]
        noun = noun_for(draws, name)
        a = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" if noun != "skis" else noun
        touch = _any_of(marks, _touches)
        if name in RIDDEN:
            words = draws.choice([f"riding {a}", f"on {a}", f"on the {noun}"])
            yield words, "doing", _any_of(marks, _rides)
        elif name in HELD:
            forms = [f"holding {a}", f"with {a}", f"carrying {a}", f"with the {noun}", f"holding the {noun}"]
            yield draws.choice(forms), "doing", touch
        elif name in SEATS:
            yield draws.choice([f"sitting on the {noun}", f"on the {noun}", f"on {a}"]), "doing", _any_of(marks, _on)
        else:
            yield draws.choice([f"in the {noun}", f"inside the {noun}", f"on the {noun}"]), "doing", _any_of(marks, _in)
        if name in HELD or name in RIDDEN:
            forms = [f"without {a}", f"not holding {a}" if name in HELD else f"not on {a}", f"without the {noun}"]
            yield draws.choice(forms), "doing", partial(_not, touch)


def _neighbours(draws: Draws, thing: Thing, things: Sequence[Thing]) -> Iterator[_Candidate]:
    """Beside an object of another class, or beside one of its own that a colour or a place names."""
    for mark in draws.shuffled([one for one in things if one.name != thing.name and not one.crowd])[:4]:
        if sum(one.name == mark.name for one in things) == 1:
            forms = ["next to", "beside", "near", "close to", "by"]
            words = draws.choice([*forms, "standing next to"] if thing.name == _PERSON else forms)
            yield f"{words} the {_noun(draws, mark.name)}", "near", partial(_next_to, mark=mark)
    alike = [one for one in things if one.name == thing.name and one is not thing and not one.crowd]
    noun = _noun(draws, thing.name)
    for mark in draws.shuffled(alike)[:2]:
        name = _told_apart(draws, mark, [thing, *alike], noun)
        if not name:
            continue
        side = "left" if thing.facts.x < mark.facts.x else "right"
        words = draws.choice([f"to the {side} of", f"{side} of", f"on the {side} of"])
        yield f"{words} {name}", "other", partial(_beside, mark=mark, side=side)
        words = draws.choice(["next to", "beside", "close to", "near"])
        yield f"{words} {name}", "other", partial(_next_to, mark=mark)
        if _touches(thing.facts, mark.facts):
            behind = thing.facts.bottom < mark.facts.bottom
            words = draws.choice(["behind", "partly hidden by"] if behind else ["in front of"])
            yield f"{words} {name}", "other", partial(_behind, mark=mark, behind=behind)


def _noun(draws: Draws, name: str) -> str:
    """A noun that an article may stand before; "the someone" is none."""
    return _PERSON if name == _PERSON else noun_for(draws, name)


def _told_apart(draws: Draws, mark: Thing, group: Sequence[Thing], noun: str) -> str:
    """A short name for one of several alike, or an empty text."""
    others = [one for one in group if one is not mark]
    names = []
    for colour, of in ((mark.facts.upper, "upper"), (mark.facts.colour, "colour")):
        if colour and all(getattr(one.facts, of) not in ("", colour) for one in others):
            names.append(f"the {noun} in {colour}" if mark.name == _PERSON else f"the {colour} {noun}")
    if all(mark.facts.x < one.facts.x - 0.07 for one in others):
        names.append(f"the {noun} on the left")
    if all(mark.facts.x > one.facts.x + 0.07 for one in others):
        names.append(f"the {noun} on the right")
    if all(mark.facts.area > 1.5 * one.facts.area for one in others):
        names.append(f"the {draws.choice(['largest', 'biggest', 'big'])} {noun}")
    return draws.choice(names) if names else ""


def _any_of(marks: Sequence[Facts], holds: Callable[[Facts, Facts], bool | None]) -> Callable[[Thing], bool | None]:
    """Whether a relation holds to any of the marks."""

    def of(one: Thing) -> bool | None:
        truths = [holds(one.facts, mark) for mark in marks]
        return True if True in truths else None if None in truths else False

    return of


def _not(holds: Callable[[Thing], bool | None], one: Thing) -> bool | None:
    truth = holds(one)
    return None if truth is None else not truth


def _gap(first: Facts, second: Facts) -> float:
    across = max(first.left - second.right, second.left - first.right, 0.0)
    down = max(first.top - second.bottom, second.top - first.bottom, 0.0)
    return max(across, down)


def _touches(first: Facts, mark: Facts) -> bool | None:
    gap = _gap(first, mark)
    return True if gap <= _TOUCH else False if gap >= _APART else None


def _rides(person: Facts, mark: Facts) -> bool | None:
    """Above it and over it."""
    if _gap(person, mark) >= _APART or person.y > mark.bottom:
        return False
    above = person.y < mark.y and mark.left - 0.02 <= person.x <= mark.right + 0.02
    return True if above and person.bottom >= mark.top else None


def _on(person: Facts, seat: Facts) -> bool | None:
    if _gap(person, seat) >= _APART:
        return False
    inside = seat.left <= person.x <= seat.right and person.y <= seat.bottom and person.bottom >= seat.y
    return True if inside else None


def _in(person: Facts, mark: Facts) -> bool | None:
    if _gap(person, mark) >= _APART:
        return False
    inside = mark.left <= person.left and person.right <= mark.right and person.y >= mark.top - 0.02
    return True if inside and person.bottom <= mark.bottom else None


def _next_to(one: Thing, mark: Thing) -> bool | None:
    return one is not mark and _touches(one.facts, mark.facts)


def _beside(one: Thing, mark: Thing, side: str) -> bool | None:
    """At a side of the mark, however far."""
    if one is mark:
        return False
    distance = (one.facts.x - mark.facts.x) * (1 if side == "right" else -1)
    return True if distance >= 0.05 else False if distance <= 0 else None


def _behind(one: Thing, mark: Thing, behind: bool) -> bool | None:
    if one is mark:
        return False
    touches = _touches(one.facts, mark.facts)
    difference = (mark.facts.bottom - one.facts.bottom) * (1 if behind else -1)
    if touches is False or difference <= -0.02:
        return False
    return True if touches and difference >= 0.03 else None
