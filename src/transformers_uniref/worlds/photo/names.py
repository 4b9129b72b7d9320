"""What the sequences of a folder show: nouns, colours and details that sentences may use.

A table maps the name of a sequence to its words. The short form is a noun or a list of nouns, the long form a mapping:

```yaml
cows:
  nouns: [cow, animal]            # words that name the object; the first one is its category
  perhaps: [bull]                 # words that somebody might use: never said of it, never denied
  colours: [brown and white]      # said before a noun
  perhaps_colours: [brown, white]
  details: [with horns]           # said after a noun
  perhaps_details: [with a bell]
  clutter: [person, car]          # nouns of things that the frames show without a mask
```
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

_PHRASE = re.compile(r"[a-z0-9]+( [a-z0-9]+)*")


@dataclass(frozen=True)
class Names:
    """Words about the one object that the masks of a sequence show.

    Attributes:
        nouns: names of the object; the first is its category.
        perhaps: names that are borderline: sentences neither use them for the object nor count on their being wrong.
        colours, perhaps_colours: the same for adjectives of colour. Without either, any colour may be true.
        details, perhaps_details: the same for phrases that follow a noun, such as "in a white shirt".
        clutter: nouns of things that the frames show besides, without a mask.
    """

    nouns: tuple[str, ...]
    perhaps: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    perhaps_colours: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    perhaps_details: tuple[str, ...] = ()
    clutter: tuple[str, ...] = ()

    @property
    def category(self) -> str:
        """The first noun."""
        return self.nouns[0]


_KEYS = tuple(field.name for field in fields(Names))

Table = Mapping[str, "Names | str | list[str] | Mapping[str, Any]"]


def _phrases(value: Any, where: str) -> tuple[str, ...]:
    phrases = [value] if isinstance(value, str) else value
    if not isinstance(phrases, list | tuple) or not all(isinstance(one, str) for one in phrases):
        raise TypeError(f"{where} must be a text or a list of texts, got {value!r}")
    for phrase in phrases:
        if not _PHRASE.fullmatch(phrase):
            raise ValueError(f"{where}: got {phrase!r}; lower-case words with single spaces between them are accepted")
    return tuple(phrases)


def parse_names(table: Table) -> dict[str, Names]:
    """Checks a table of names, see the top of this module.

    Raises:
        TypeError: when a value has another type than those shown there.
        ValueError: for an unknown key, an object without a noun, or a phrase that is not lower-case words.
    """
    if not isinstance(table, Mapping):
        raise TypeError(f"names must map sequences to their nouns, got {type(table).__name__}")
    parsed = {}
    for sequence, value in table.items():
        where = f"names[{sequence!r}]"
        if isinstance(value, Names):
            parsed[sequence] = value
            continue
        words = dict(value) if isinstance(value, Mapping) else {"nouns": value}
        unknown = sorted(set(map(str, words)) - set(_KEYS))
        if unknown:
            raise ValueError(f"{where}: unknown key {unknown[0]!r}; accepted: {', '.join(_KEYS)}")
        names = Names(**{"nouns": ()} | {key: _phrases(part, f"{where}.{key}") for key, part in words.items()})
        if not names.nouns:
            raise ValueError(f"{where}.nouns must name the object at least once, got none")
        parsed[str(sequence)] = names
    return parsed


def read_names(path: str | Path) -> dict[str, Names]:
    """Reads a table of names from a `.json`, `.yaml` or `.yml` file.

    Raises:
        FileNotFoundError: without such a file.
        ValueError: when it is not JSON or YAML, or for what `parse_names` refuses.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"names: there is no file {path}")
    return parse_names(_read_table(path))


def _read_table(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}: not valid JSON ({error})") from error
    try:
        import yaml
    except ImportError as error:
        raise ImportError(f"{path}: reading YAML needs the package pyyaml (extra `train`), or write JSON") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error


DAVIS_NAMES: dict[str, Names] = {
    "bmx-trees": Names(
        nouns=("cyclist", "bike rider", "person on a bike", "boy on a bike"),
        perhaps=("person", "man", "boy", "rider", "bike", "bicycle"),
        details=("in a white shirt",),
        perhaps_details=("on a bike",),
    ),
    "breakdance": Names(
        nouns=("dancer", "breakdancer", "person"),
        perhaps=("man", "boy"),
        details=("in red", "in a red sweater"),
        clutter=("person", "man", "woman", "boy", "girl"),
    ),
    "car-roundabout": Names(
        nouns=("car", "vehicle"),
        colours=("gray", "dark gray"),
        perhaps_colours=("black", "blue"),
        clutter=("car", "vehicle", "person"),
    ),
    "cows": Names(
        nouns=("cow", "animal"),
        perhaps=("bull",),
        colours=("brown and white",),
        perhaps_colours=("brown", "white", "red", "orange"),
    ),
    "dance-twirl": Names(
        nouns=("dancer", "woman", "person"),
        perhaps=("girl",),
        details=("in a dress", "in a blue dress"),
        clutter=("person", "man", "woman", "boy", "girl"),
    ),
    "drift-chicane": Names(
        nouns=("car", "race car", "vehicle"),
        perhaps_colours=("white", "gray", "red", "orange", "pink"),
        clutter=("car", "vehicle", "person"),
    ),
    "drift-straight": Names(
        nouns=("car", "race car", "vehicle"),
        colours=("red",),
        perhaps_colours=("black", "white", "purple", "orange"),
        clutter=("car", "vehicle", "truck", "person"),
    ),
    "horsejump-high": Names(
        nouns=("horse", "horse and rider", "horse with a rider"),
        perhaps=("animal", "person", "rider", "woman", "girl", "man"),
        colours=("brown",),
        perhaps_colours=("red", "orange", "black"),
        clutter=("car", "vehicle", "person"),
    ),
    "kite-surf": Names(
        nouns=("surfer", "kite surfer", "person"),
        perhaps=("man", "boy"),
        details=("with a helmet",),
    ),
    "motocross-jump": Names(
        nouns=("motorbike", "motorcycle", "motocross rider"),
        perhaps=("bike", "bike rider", "rider", "person", "man", "scooter", "vehicle", "bicycle"),
        perhaps_colours=("green", "white", "black", "blue", "purple", "red", "yellow"),
        clutter=("person",),
    ),
    "paragliding-launch": Names(
        nouns=("paraglider", "person"),
        perhaps=("man", "woman"),
        details=("with a helmet",),
    ),
    "scooter-black": Names(
        nouns=("scooter", "motor scooter", "scooter rider"),
        perhaps=("motorbike", "motorcycle", "bike", "vehicle", "rider", "person", "man"),
        colours=("black",),
        perhaps_colours=("blue", "gray"),
        details=("with a white helmet",),
        perhaps_details=("with a helmet",),
        clutter=("scooter", "motor scooter", "motorbike", "motorcycle", "bike", "car", "vehicle", "person", "man"),
    ),
    "bear": Names(
        nouns=("bear", "animal"),
        colours=("brown",),
    ),
    "bmx-bumps": Names(
        nouns=("cyclist", "bike rider", "person on a bike"),
        perhaps=("person", "boy", "man", "rider", "bike", "bicycle"),
        perhaps_details=("with a helmet", "on a bike"),
    ),
    "boat": Names(
        nouns=("boat", "ship", "vessel"),
        colours=("white",),
        perhaps_colours=("blue",),
    ),
    "breakdance-flare": Names(
        nouns=("dancer", "breakdancer", "person"),
        perhaps=("man", "boy"),
        perhaps_details=("in blue trousers",),
    ),
    "bus": Names(
        nouns=("bus", "vehicle"),
        colours=("white",),
        perhaps_colours=("blue", "blue and white"),
        clutter=("car", "person", "vehicle"),
    ),
    "car-turn": Names(
        nouns=("car", "vehicle", "jeep"),
        colours=("white",),
        perhaps_colours=("gray",),
    ),
    "dance-jump": Names(
        nouns=("dancer", "woman", "person"),
        perhaps=("girl",),
        details=("in a dress",),
        perhaps_details=("in a pink dress", "in a white dress"),
        clutter=("person", "man", "woman", "boy", "girl"),
    ),
    "dog-agility": Names(
        nouns=("dog", "animal"),
        perhaps_colours=("white", "brown", "black", "brown and white"),
        clutter=("person",),
    ),
    "drift-turn": Names(
        nouns=("car", "race car", "vehicle"),
        perhaps_colours=("white", "red", "blue"),
        clutter=("car", "vehicle", "person"),
    ),
    "elephant": Names(
        nouns=("elephant", "animal"),
        perhaps_colours=("gray", "brown"),
    ),
    "flamingo": Names(
        nouns=("flamingo", "bird", "animal"),
        perhaps_colours=("white", "pink"),
        clutter=("flamingo", "bird", "animal"),
    ),
    "hike": Names(
        nouns=("hiker", "person", "man"),
        details=("with a backpack", "with a hat"),
    ),
    "hockey": Names(
        nouns=("hockey player", "player", "person"),
        perhaps=("man", "boy", "goalkeeper"),
        perhaps_colours=("blue",),
        clutter=("person", "man"),
    ),
    "horsejump-low": Names(
        nouns=("horse", "horse and rider", "horse with a rider"),
        perhaps=("animal", "person", "rider", "woman", "girl", "man"),
        colours=("white",),
        perhaps_colours=("gray",),
        clutter=("person",),
    ),
    "kite-walk": Names(
        nouns=("kite surfer", "person"),
        perhaps=("man", "surfer", "boy", "kite"),
        details=("with a board",),
        perhaps_details=("with a helmet",),
    ),
    "lucia": Names(
        nouns=("woman", "person"),
        perhaps=("girl", "lady"),
        details=("in a dress", "with a backpack"),
    ),
    "mallard-fly": Names(
        nouns=("duck", "mallard", "bird", "animal"),
        perhaps_colours=("brown",),
    ),
    "mallard-water": Names(
        nouns=("duck", "mallard", "bird", "animal"),
        perhaps_colours=("brown",),
    ),
    "motocross-bumps": Names(
        nouns=("motorbike", "motorcycle", "motocross rider"),
        perhaps=("bike", "bike rider", "rider", "person", "man", "vehicle", "bicycle"),
        perhaps_colours=("white", "black", "red", "orange", "yellow", "blue", "green"),
    ),
    "motorbike": Names(
        nouns=("motorbike", "motorcycle", "motorbike rider"),
        perhaps=("bike", "rider", "person", "man", "vehicle", "scooter"),
        colours=("orange",),
        perhaps_colours=("black", "red"),
    ),
    "paragliding": Names(
        nouns=("paraglider",),
        perhaps=("person", "parachute", "man"),
        perhaps_colours=("red", "white", "red and white"),
    ),
    "rhino": Names(
        nouns=("rhino", "rhinoceros", "animal"),
        perhaps_colours=("gray", "brown"),
    ),
    "rollerblade": Names(
        nouns=("skater", "person", "roller skater"),
        perhaps=("man", "boy", "woman", "girl"),
        perhaps_details=("in a white shirt",),
    ),
    "scooter-gray": Names(
        nouns=("scooter", "motor scooter", "scooter rider"),
        perhaps=("motorbike", "motorcycle", "bike", "vehicle", "rider", "person", "man"),
        perhaps_colours=("gray", "white"),
        details=("with a helmet",),
        perhaps_details=("with a white helmet",),
        clutter=("car", "vehicle", "person", "man", "scooter", "motorbike", "motorcycle", "bike"),
    ),
    "soccerball": Names(
        nouns=("ball", "football", "soccer ball"),
        perhaps_colours=("white", "blue", "blue and white"),
    ),
    "stroller": Names(
        nouns=("woman with a stroller", "person with a stroller"),
        perhaps=("woman", "person", "man", "stroller", "pram"),
        details=("in a white shirt",),
        clutter=("person", "man", "woman", "boy", "girl", "car"),
    ),
    "surf": Names(
        nouns=("windsurfer",),
        perhaps=("surfer", "person", "man", "sail", "boat"),
        perhaps_colours=("green", "yellow", "white"),
    ),
    "swing": Names(
        nouns=("person on a swing", "girl on a swing"),
        perhaps=("woman", "girl", "person", "boy", "man", "child"),
        perhaps_details=("in a white shirt",),
    ),
    "tennis": Names(
        nouns=("tennis player", "person", "player"),
        perhaps=("man", "woman", "boy", "girl"),
        details=("in a white shirt",),
        clutter=("person", "man", "woman"),
    ),
    "train": Names(
        nouns=("train", "toy train"),
        perhaps=("vehicle",),
        perhaps_colours=("red", "blue", "gray", "white"),
    ),
}
"""Names for forty-two sequences of DAVIS 2016, whose masks show one object each."""

DAVIS_VALIDATION = ("dance-twirl", "drift-chicane", "scooter-black")
"""Sequences of `DAVIS_NAMES` that are kept for validation: a person, a car and a two-wheeler."""
