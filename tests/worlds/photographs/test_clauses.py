"""Clauses about one of several alike: true of it, and together false of every other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from transformers_uniref.worlds.drawn.draws import Draws
from transformers_uniref.worlds.photographs.clauses import Clause, clauses_of, joined, sentence_of
from transformers_uniref.worlds.photographs.facts import Facts, measure
from transformers_uniref.worlds.photographs.grammar import Describer, Thing


def thing(number: int, box: tuple[float, float, float, float], name: str = "person", **facts: str) -> Thing:
    left, top, right, bottom = box
    area = (right - left) * (bottom - top)
    place = Facts((left + right) / 2, (top + bottom) / 2, left, top, right, bottom, area, "")
    return Thing(number, name, replace(place, **facts))


def said(things: list[Thing], target: int, times: int = 150) -> dict[str, Clause]:
    """Every clause about one of them that some draw words."""
    group = [one for one in things if one.name == things[target].name]
    return {
        clause.words: clause
        for seed in range(times)
        for clause in clauses_of(Draws(seed, 0), things[target], group, things)
    }


LEFT, RIGHT = thing(0, (0.1, 0.2, 0.3, 0.8)), thing(1, (0.7, 0.2, 0.9, 0.8))


def test_a_held_thing_tells_its_holder_from_the_others() -> None:
    things = [LEFT, RIGHT, thing(2, (0.05, 0.1, 0.35, 0.25), "umbrella")]
    assert said(things, 0)["holding an umbrella"].truth == {0: True, 1: False}
    assert said(things, 1)["without an umbrella"].truth == {0: False, 1: True}
    assert "holding an umbrella" not in said(things, 1)
    near = [LEFT, RIGHT, thing(2, (0.33, 0.1, 0.4, 0.25), "umbrella")]  # too far to touch, too near to say so
    assert not any("umbrella" in words for words in said(near, 0) if words.startswith(("holding", "without")))


def test_who_rides_is_above_and_over() -> None:
    horse = thing(2, (0.0, 0.5, 0.4, 1.0), "horse")
    assert said([LEFT, RIGHT, horse], 0)["riding a horse"].truth == {0: True, 1: False}
    before = thing(2, (0.28, 0.1, 0.6, 0.6), "horse")
    assert "riding a horse" not in said([LEFT, RIGHT, before], 0)


def test_clothes_are_those_of_the_half_that_they_are_worn_on() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    mask = np.zeros((100, 100), bool)
    mask[10:90, 40:60] = True
    image[10:50] = (220, 20, 20)
    image[50:90] = (20, 40, 220)
    facts = measure(image, mask)
    assert (facts.upper, facts.lower, facts.colour) == ("red", "blue", "")
    assert measure(image, mask.T).upper == ""  # lying
    people = [replace(LEFT, facts=replace(LEFT.facts, upper="red")), RIGHT]
    assert said(people, 0)["in a red shirt"].truth == {0: True, 1: None}  # what the other wears cannot be told


def test_another_of_its_class_is_named_by_what_sets_it_apart() -> None:
    people = [
        thing(0, (0.25, 0.2, 0.45, 0.7)),
        thing(1, (0.45, 0.2, 0.65, 0.9), upper="red"),
        thing(2, (0.8, 0.2, 1, 0.6)),
    ]
    people = [people[0], people[1], replace(people[2], facts=replace(people[2].facts, upper="blue"))]
    people[0] = replace(people[0], facts=replace(people[0].facts, upper="green"))
    words = said(people, 0)
    assert words["behind the person in red"].truth == {0: True, 1: False, 2: False}
    assert words["left of the person in red"].truth == {0: True, 1: False, 2: False}


@pytest.mark.parametrize("seed", range(40))
def test_joined_clauses_leave_one_and_none_is_idle(seed: int) -> None:
    draws = Draws(seed, 1)
    names = ("person", "person", "person", "cup", "chair")
    things = []
    for number, name in enumerate(names):
        left, top = draws.uniform(0, 0.7), draws.uniform(0, 0.6)
        box = (left, top, left + draws.uniform(0.05, 0.3), top + draws.uniform(0.1, 0.4))
        things.append(thing(number, box, name, upper=draws.choice(["", "red", "blue"])))
    group = things[:3]
    chosen = joined(draws, clauses_of(draws, things[0], group, things), 0)
    for other in (1, 2):
        assert not chosen or any(clause.truth[other] is False for clause in chosen)
    assert len({clause.topic for clause in chosen}) == len(chosen) <= 3
    if chosen:
        text = sentence_of(draws, "person", chosen, person=True)
        assert all(clause.words in text for clause in chosen)
        assert "  " not in text
    assert joined(draws, [], 0) == []


def test_the_describer_uses_them() -> None:
    things = [LEFT, RIGHT, thing(2, (0.05, 0.1, 0.35, 0.25), "umbrella")]
    found = [Describer(things, Draws(seed, 0)).one(things[0]) for seed in range(200)]
    assert any(one is not None and one.kind == "clauses" and "umbrella" in one.text for one in found)
