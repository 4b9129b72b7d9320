"""The published sizes of the benchmarks, each with its source, and checksums of downloads.

They stand in `published.json`, those alone that are certain; a split or a measure that is not there is not checked. A
number is compared with what the rows hold: `rows` (pictures or clips), `objects`, `sentences`, `frames`; `all` is all
splits together. Where sources contradict each other, all their values are accepted and the report says which one was
met.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .source_tree import SourceTree


@dataclass(frozen=True)
class Published:
    """A published number: of a split, or of all splits together (`split` is None)."""

    split: str | None
    measure: str
    values: Mapping[int, str]


@dataclass(frozen=True)
class Comparison:
    """A published number beside what was found."""

    published: Published
    found: int

    @property
    def met(self) -> bool:
        """Whether the found number is one of the published ones."""
        return self.found in self.published.values

    def describe(self) -> str:
        """One line."""
        of = self.published.split or "all splits"
        if self.met:
            return f"{of}: {self.found:,} {self.published.measure}, as in {self.published.values[self.found]}"
        wanted = " or ".join(f"{value:,} ({source})" for value, source in self.published.values.items())
        return f"{of}: {self.found:,} {self.published.measure}, published: {wanted}"


def _read_sizes(entries: list[dict[str, Any]]) -> list[Published]:
    values: dict[tuple[str, str], dict[int, str]] = {}
    for entry in entries:
        for split, number in entry["numbers"].items():
            values.setdefault((split, entry["measure"]), {})[number] = entry["source"]
    return [Published(None if split == "all" else split, measure, found) for (split, measure), found in values.items()]


_TABLE = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
PUBLISHED: dict[str, list[Published]] = {name: _read_sizes(entries) for name, entries in _TABLE["sizes"].items()}
ARCHIVES: dict[str, dict[str, list[str]]] = _TABLE["archives"]
"""Method and checksum of archives as downloaded, compared where an archive lies in the source."""


def compare(name: str, counts: Mapping[str, Mapping[str, int]], splits: Iterable[str]) -> list[Comparison]:
    """Published numbers beside `counts`, by split and measure; totals once all `splits` of the data set are there."""
    found = []
    for published in PUBLISHED.get(name, ()):
        if published.split is not None:
            if published.split in counts:
                found.append(Comparison(published, counts[published.split][published.measure]))
        elif set(splits) <= set(counts):
            found.append(Comparison(published, sum(counts[split][published.measure] for split in splits)))
    return found


def check_archives(name: str, tree: SourceTree) -> list[str]:
    """Names of archives in the source whose checksum is not the published one, with both."""
    problems = []
    for archive in tree.archives:
        known = ARCHIVES.get(name, {}).get(archive.name)
        if known is None:
            continue
        method, wanted = known
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, method).hexdigest()
        if found != wanted:
            problems.append(f"{archive.name} ({method} {found}, published {wanted})")
    return problems
