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

from ...core.errors import KindError, UsageError

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
        raise KindError(f"{where} must be a text or a list of texts, got {value!r}")
    for phrase in phrases:
        if not _PHRASE.fullmatch(phrase):
            raise UsageError(f"{where}: got {phrase!r}; lower-case words with single spaces between them are accepted")
    return tuple(phrases)


def parse_names(table: Table) -> dict[str, Names]:
    """Checks a table of names, see the top of this module.

    Raises:
        TypeError: when a value has another type than those shown there.
        ValueError: for an unknown key, an object without a noun, or a phrase that is not lower-case words.
    """
    if not isinstance(table, Mapping):
        raise KindError(f"names must map sequences to their nouns, got {type(table).__name__}")
    parsed = {}
    for sequence, value in table.items():
        where = f"names[{sequence!r}]"
        if isinstance(value, Names):
            parsed[sequence] = value
            continue
        words = dict(value) if isinstance(value, Mapping) else {"nouns": value}
        unknown = sorted(set(map(str, words)) - set(_KEYS))
        if unknown:
            raise UsageError(f"{where}: unknown key {unknown[0]!r}; accepted: {', '.join(_KEYS)}")
        names = Names(**{"nouns": ()} | {key: _phrases(part, f"{where}.{key}") for key, part in words.items()})
        if not names.nouns:
            raise UsageError(f"{where}.nouns must name the object at least once, got none")
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
            raise UsageError(f"{path}: not valid JSON ({error})") from error
    try:
        import yaml
    except ImportError as error:
        raise ImportError(f"{path}: reading YAML needs the package pyyaml (extra `train`), or write JSON") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error


DAVIS_NAMES = read_names(Path(__file__).with_name("davis_names.json"))
"""Names for forty-two sequences of DAVIS 2016, whose masks show one object each."""

DAVIS_VALIDATION = ("dance-twirl", "drift-chicane", "scooter-black")
"""Sequences of `DAVIS_NAMES` that are kept for validation: a person, a car and a two-wheeler."""
