"""Sentences about the objects of a photograph: true of exactly the objects that they are asked for, by geometry.

A wording is one of several for a meaning; every meaning is checked against all objects that show, also those too small
or too much cut to be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..drawn.draws import Draws
from ..scenes import Reference
from .clauses import clauses_of, joined, sentence_of
from .facts import COLOURS, Facts
from .nouns import PAIRED, WIDER, noun_for, plural

_MARGIN = 0.07
"""Centres are told apart in words from this share of the picture on."""
_LARGER = 1.5
"""Sizes are told apart in words from this ratio of areas on."""
_WORN = "person"


@dataclass(frozen=True)
class Thing:
    """An object that shows: its number in the view, class, facts, and whether it stands for a crowd."""

    number: int
    name: str
    facts: Facts
    crowd: bool = False


def _the(draws: Draws, noun: str) -> str:
    """The noun alone, as people and as programs say it."""
    forms = [f"the {noun}"] * 5 + [noun] * 2
    if noun not in PAIRED:
        forms += [f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"]
    return draws.choice(forms)


class Describer:
    """Finds sentences about the objects of one view.

    Args:
        things: every object that shows.
    """

    def __init__(self, things: Sequence[Thing], draws: Draws) -> None:
        self.things = list(things)
        self.draws = draws

    def alike(self, name: str) -> list[Thing]:
        """The objects of a class, crowds among them."""
        return [thing for thing in self.things if thing.name == name]

    def one(self, thing: Thing) -> Reference | None:
        """A sentence that is true of this object alone, or None where none of the grammar's is found."""
        draws = self.draws
        group = self.alike(thing.name)
        if thing.crowd or any(other.crowd for other in group):
            return None
        noun = noun_for(draws, thing.name)
        unique = len(group) == 1
        if unique:
            makers: list[tuple[float, Callable[[], tuple[str, str] | None]]] = [
                (5.0, lambda: (_the(draws, noun), "noun")),
                (0.6, lambda: self._placed_alone(thing, noun)),
                (0.5, lambda: self._coloured(thing, noun, group)),
                (0.5, lambda: self._wider(thing)),
                (0.7, lambda: self._related(thing, noun, group)),
                (1.0, lambda: self._described(thing, noun, group)),
            ]
        else:
            makers = [
                (3.0, lambda: self._side(thing, noun, group)),
                (1.4, lambda: self._sized(thing, noun, group)),
                (1.0, lambda: self._coloured(thing, noun, group)),
                (1.2, lambda: self._related(thing, noun, group)),
                (0.6, lambda: self._ordinal(thing, noun, group)),
                (0.5, lambda: self._near(thing, noun, group)),
                (0.4, lambda: self._negated(thing, noun, group)),
                (0.6, lambda: self._two_steps(thing, noun, group)),
                (4.0, lambda: self._described(thing, noun, group)),
            ]
        while makers:
            weights = [weight for weight, _ in makers]
            chosen = draws.weighted(range(len(makers)), weights)
            found = makers.pop(chosen)[1]()
            if found is not None:
                text, kind = found
                return Reference(text, (thing.number,), kind)
        return None

    def many(self, name: str, asked: Callable[[int], bool]) -> Reference | None:
        """A sentence for all objects of a class, or for all on one side; every one of them can be asked for."""
        draws = self.draws
        group = self.alike(name)
        if len(group) < 2 or any(thing.crowd for thing in group):
            return None
        word = plural(noun_for(draws, name))
        kinds = ["all"] * 3 + (["count"] if len(group) <= 5 else []) + ["side"]
        kind = draws.choice(kinds)
        if kind == "side":
            side = self._all_on_a_side(group, word)
            if side is not None and all(asked(number) for number in side.numbers):
                return side
            kind = "all"
        if not all(asked(thing.number) for thing in group):
            return None
        numbers = tuple(thing.number for thing in group)
        if kind == "count":
            counted = {2: "two", 3: "three", 4: "four", 5: "five"}[len(group)]
            forms = [f"the {counted} {word}", f"{counted} {word}"] + ([f"both {word}"] if len(group) == 2 else [])
            return Reference(draws.choice(forms), numbers, "count")
        forms = [f"all {word}", f"the {word}", f"all the {word}", word, f"every {noun_for(draws, name)}"]
        return Reference(draws.weighted(forms, [3, 3, 2, 1, 1]), numbers, "all")

    def _all_on_a_side(self, group: list[Thing], word: str) -> Reference | None:
        words = self.draws.choice(["on the left", "on the right"])
        left = [thing for thing in group if thing.facts.x < 0.5 - _MARGIN / 2]
        right = [thing for thing in group if thing.facts.x > 0.5 + _MARGIN / 2]
        members, rest = (left, right) if words == "on the left" else (right, left)
        if len(members) < 2 or not rest or len(members) + len(rest) < len(group):
            return None
        form = self.draws.choice([f"all {word} {words}", f"the {word} {words}"])
        return Reference(form, tuple(thing.number for thing in members), "all")

    def _placed_alone(self, thing: Thing, noun: str) -> tuple[str, str] | None:
        """Where the only one of its class is."""
        facts, words = thing.facts, []
        if facts.x < 0.36:
            words.append("on the left")
        if facts.x > 0.64:
            words.append("on the right")
        if facts.y < 0.36:
            words.append("at the top")
        if facts.y > 0.64:
            words.append("at the bottom")
        if abs(facts.x - 0.5) < 0.1 and abs(facts.y - 0.5) < 0.15:
            words.append("in the middle")
        return (f"the {noun} {self.draws.choice(words)}", "place") if words else None

    def _side(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        """The outermost one of its class."""
        draws = self.draws
        pair = len(group) == 2
        options = []
        for words, key, sign in (
            (("left", "leftmost"), lambda f: f.x, 1),
            (("right", "rightmost"), lambda f: f.x, -1),
            (("top", "highest"), lambda f: f.y, 1),
            (("bottom", "lowest"), lambda f: f.y, -1),
        ):
            place = sign * key(thing.facts)
            rest = [sign * key(other.facts) for other in group if other is not thing]
            if place + _MARGIN <= min(rest):
                options.append((words, min(rest) - place))
        middle = sorted(group, key=lambda other: other.facts.x)
        if len(group) == 3 and middle[1] is thing:
            gaps = [middle[1].facts.x - middle[0].facts.x, middle[2].facts.x - middle[1].facts.x]
            if min(gaps) >= _MARGIN:
                options.append((("middle", "middle"), min(gaps)))
        if not options:
            return None
        (word, most), _ = draws.choice(options)
        if word == "middle":
            forms = [f"the middle {noun}", f"the {noun} in the middle", f"middle {noun}", f"the {noun} in the center"]
        else:
            across = word in ("left", "right")
            at = f"{'on' if across else 'at'} the {word}"
            forms = [f"the {noun} {at}"] * 2
            forms += [f"{word} {noun}", f"the {most} {noun}", f"the {word} {noun}", f"{noun} {at}"]
            if across:
                forms += [
                    f"the {noun} on the far {word}",
                    f"the {noun} furthest to the {word}",
                    f"the {noun} to the {word}",
                ]
            elif pair:
                forms.append(f"the {'upper' if word == 'top' else 'lower'} {noun}")
        return draws.choice(forms), "place"

    def _sized(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        rest = [other.facts.area for other in group if other is not thing]
        pair = len(group) == 2
        if thing.facts.area >= _LARGER * max(rest):
            words = ["largest", "biggest"] * 2 + (["larger", "bigger", "big", "large"] if pair else ["big"])
        elif thing.facts.area * _LARGER <= min(rest):
            words = ["smallest"] * 2 + (["smaller", "small", "little"] if pair else ["small"])
        else:
            return None
        return self.draws.choice([f"the {{}} {noun}", f"the {{}} {noun}", f"{{}} {noun}"]).format(
            self.draws.choice(words)
        ), "size"

    def _near(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        """In front: larger and lower than all others of its class; at the back: smaller and higher."""
        rest = [other.facts for other in group if other is not thing]
        own = thing.facts
        if all(own.bottom >= f.bottom + 0.04 and own.area >= _LARGER * f.area for f in rest):
            forms = [
                f"the {noun} in front",
                f"the closest {noun}",
                f"the {noun} in the foreground",
                f"the nearest {noun}",
            ]
        elif all(own.bottom + 0.04 <= f.bottom and own.area * _LARGER <= f.area for f in rest):
            forms = [f"the {noun} in the back", f"the {noun} in the background", f"the {noun} furthest away"]
        else:
            return None
        return self.draws.choice(forms), "size"

    def _coloured(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        colour = thing.facts.colour
        # Where another's colour is not clear, it may be of this one too.
        if not colour or any(other.facts.colour in ("", colour) for other in group if other is not thing):
            return None
        colour = "gray" if colour == "grey" and self.draws.chance(0.5) else colour
        if thing.name == _WORN:
            forms = [f"the {noun} in {colour}", f"{noun} in {colour}", f"the {noun} wearing {colour}"]
        else:
            forms = [f"the {colour} {noun}", f"the {colour} {noun}", f"{colour} {noun}", f"the {noun} that is {colour}"]
        return self.draws.choice(forms), "colour"

    def _wider(self, thing: Thing) -> tuple[str, str] | None:
        terms = [term for term, names in WIDER.items() if thing.name in names]
        for term in terms:
            if sum(other.name in WIDER[term] for other in self.things) == 1:
                return _the(self.draws, term), "noun"
        return None

    def _related(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        """Beside, above, or touching something that there is one of."""
        draws = self.draws
        marks = [other for other in self.things if other.name != thing.name and len(self.alike(other.name)) == 1]
        for mark in draws.shuffled([mark for mark in marks if not mark.crowd])[:4]:
            other = noun_for(draws, mark.name)
            found = [
                words
                for words, holds in _RELATIONS
                if holds(thing.facts, mark.facts)
                and not any(_perhaps(holds, one.facts, mark.facts) for one in group if one is not thing)
            ]
            if found:
                return f"the {noun} {draws.choice(draws.choice(found))} the {other}", "relation"
            distances = sorted((_distance(one.facts, mark.facts), one.number) for one in group)
            near = distances[0]
            if near[1] == thing.number and near[0] < 0.12 and (len(distances) == 1 or distances[1][0] > near[0] + 0.1):
                words = ["next to", "by", "near", "beside", "closest to"]
                if thing.name == _WORN and mark.facts.area < thing.facts.area:
                    words += ["with", "with"]
                form = draws.choice(words)
                return f"the {noun} {form} the {other}", "relation"
        return None

    def _described(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        """By one to three clauses that together leave it alone."""
        chosen = joined(self.draws, clauses_of(self.draws, thing, group, self.things), thing.number)
        return (sentence_of(self.draws, noun, chosen, thing.name == _WORN), "clauses") if chosen else None

    def _ordinal(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        if not 3 <= len(group) <= 6:
            return None
        ordered = sorted(group, key=lambda one: one.facts.x)
        places = [one.facts.x for one in ordered]
        if min(b - a for a, b in zip(places, places[1:], strict=False)) < 0.05:
            return None
        index = [one.number for one in ordered].index(thing.number)
        words = ["first", "second", "third", "fourth", "fifth", "sixth"]
        options = [
            f"the {words[index]} {noun} from the left",
            f"the {words[len(group) - 1 - index]} {noun} from the right",
        ]
        options += [option.replace("from the", "from") for option in options]
        return self.draws.choice(options), "place"

    def _negated(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        if len(group) != 2:
            return None
        other = next(one for one in group if one is not thing)
        difference = thing.facts.x - other.facts.x
        options = []
        if abs(difference) >= 2 * _MARGIN:
            options.append(f"the {noun} that is not on the {'left' if difference > 0 else 'right'}")
        if other.facts.area >= _LARGER * thing.facts.area:
            options.append(f"the {noun} that is not the {self.draws.choice(['largest', 'big one'])}")
        if other.facts.colour and thing.facts.colour and other.facts.colour != thing.facts.colour:
            colour = other.facts.colour
            options.append(f"the {noun} that is not {'wearing ' if thing.name == _WORN else ''}{colour}")
        return (self.draws.choice(options), "negation") if options else None

    def _two_steps(self, thing: Thing, noun: str, group: list[Thing]) -> tuple[str, str] | None:
        """The larger of the two on a side."""
        left = thing.facts.x < 0.5
        side = [one for one in group if (one.facts.x < 0.5) == left]
        clear = all(abs(one.facts.x - 0.5) >= _MARGIN / 2 for one in group)
        if len(side) != 2 or len(group) < 3 or not clear:
            return None
        other = next(one for one in side if one is not thing)
        ratio = thing.facts.area / other.facts.area
        words = f"the two {plural(noun)} on the {'left' if left else 'right'}"
        if ratio >= _LARGER:
            return f"the {self.draws.choice(['larger', 'bigger'])} of {words}", "two steps"
        if ratio <= 1 / _LARGER:
            return f"the smaller of {words}", "two steps"
        if thing.facts.y + _MARGIN <= other.facts.y:
            return f"the upper one of {words}", "two steps"
        if thing.facts.y >= other.facts.y + _MARGIN:
            return f"the lower one of {words}", "two steps"
        return None


def absent_sentence(draws: Draws, name: str, others: Sequence[str]) -> str:
    """A sentence about a class that the picture does not show, worded as those about one that it shows.

    Args:
        others: classes that the picture shows, for relations to them.
    """
    noun = noun_for(draws, name)
    side = draws.choice(["left", "right"])
    forms = [
        (6.0, lambda: _the(draws, noun)),
        (1.0, lambda: f"all {plural(noun)}"),
        (0.7, lambda: f"the {plural(noun)}"),
        (1.0, lambda: f"the {noun} on the {side}"),
        (0.7, lambda: f"{side} {noun}"),
        (0.6, lambda: f"the {draws.choice(['largest', 'smallest', 'leftmost', 'rightmost', 'big'])} {noun}"),
        (0.8, lambda: f"the {draws.choice(COLOURS)} {noun}"),
    ]
    if others:
        mark = noun_for(draws, draws.choice(list(others)))
        forms.append((0.8, lambda: f"the {noun} {draws.choice(['next to', 'above', 'left of', 'near'])} the {mark}"))
    return draws.weighted([make for _, make in forms], [weight for weight, _ in forms])()


def _distance(first: Facts, second: Facts) -> float:
    """Between the boxes, in shares of the picture; 0 where they touch."""
    across = max(first.left - second.right, second.left - first.right, 0.0)
    down = max(first.top - second.bottom, second.top - first.bottom, 0.0)
    return (across**2 + down**2) ** 0.5


def _perhaps(holds: Callable[[Facts, Facts], bool], first: Facts, mark: Facts) -> bool:
    """Whether somebody might say so: the relation with the objects' centres alone."""
    point = Facts(first.x, first.y, first.x, first.y, first.x, first.y, 0.0, "")
    centre = Facts(mark.x, mark.y, mark.x, mark.y, mark.x, mark.y, 0.0, "")
    return holds(point, centre) or holds(first, mark)


_RELATIONS: list[tuple[tuple[str, ...], Callable[[Facts, Facts], bool]]] = [
    (("to the left of", "left of", "on the left of"), lambda a, m: a.x < m.x - 0.02 and a.right <= m.x),
    (("to the right of", "right of", "on the right of"), lambda a, m: a.x > m.x + 0.02 and a.left >= m.x),
    (("above", "over"), lambda a, m: a.y < m.y - 0.02 and a.bottom <= m.y and m.left - 0.05 <= a.x <= m.right + 0.05),
    (("below", "under"), lambda a, m: a.y > m.y + 0.02 and a.top >= m.y and m.left - 0.05 <= a.x <= m.right + 0.05),
]
