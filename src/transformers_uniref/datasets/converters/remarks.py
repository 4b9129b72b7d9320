"""What a conversion found that a user has to know: deviations from the original as published, and harmless notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 5


@dataclass
class Remarks:
    """Findings by kind: how many, and the first few places.

    A deviation means that what was read is not the data set as its authors describe it (a file is missing, a mask has
    another size than its picture). A note is a known irregularity that is handled (an empty mask).
    """

    deviations: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)

    def deviation(self, kind: str, where: str) -> None:
        """Add one deviation."""
        _add(self.deviations, kind, 1, [where])

    def note(self, kind: str, where: str) -> None:
        """Add one note."""
        _add(self.notes, kind, 1, [where])

    def merge(self, other: Remarks) -> None:
        """Add all findings of `other`."""
        for mine, theirs in ((self.deviations, other.deviations), (self.notes, other.notes)):
            for kind, entry in theirs.items():
                _add(mine, kind, entry["count"], entry["examples"])

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {"deviations": self.deviations, "notes": self.notes}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Remarks:
        """The inverse of `to_dict`."""
        return cls(dict(values["deviations"]), dict(values["notes"]))


def _add(entries: dict[str, dict[str, Any]], kind: str, count: int, examples: list[str]) -> None:
    entry = entries.setdefault(kind, {"count": 0, "examples": []})
    entry["count"] += count
    entry["examples"] = [*entry["examples"], *examples][:EXAMPLES]


def describe(kind: str, entry: Mapping[str, Any]) -> str:
    """One line: the kind, how often, and where."""
    more = ", ..." if entry["count"] > len(entry["examples"]) else ""
    return f"{kind}: {entry['count']} ({', '.join(entry['examples'])}{more})"
