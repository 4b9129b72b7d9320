"""The result of an evaluation, for machines and for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .definitions import DEFINITIONS
from .tally import Tally
from .wording import percent

_DIGITS = 6


@dataclass
class Report:
    """What was measured.

    Attributes:
        tally: the measures, named "section/measure". Those that `definitions` does not name are details.
        settings: what was asked of whom.
        details: further numbers without a standard error, named alike.
        definitions: what is measured, in words, by section and measure.
    """

    tally: Tally
    settings: dict[str, Any]
    details: dict[str, float] = field(default_factory=dict)
    definitions: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: DEFINITIONS)

    def to_dict(self) -> dict[str, Any]:
        """The sections of `definitions`, all values fractions, None where nothing could be measured; then `counts`
        (answers behind each value) and `standard_errors` of the same shape, `details`, and `settings`.
        """
        return {
            **self._shaped(lambda name: _rounded(self.tally.value(name))),
            "counts": self._shaped(self.tally.count),
            "standard_errors": self._shaped(lambda name: _rounded(self.tally.standard_error(name))),
            "details": self._detail_values(),
            "settings": self.settings,
        }

    def table(self) -> str:
        """The measures as text, in percent with their standard errors, and the number of answers behind each."""
        lines = [f"{'measure':<28} {'%':>6} {'+-':>5} {'n':>6}"]
        for section, measures in self.definitions.items():
            for name in measures:
                key = f"{section}/{name}"
                value, error = percent(self.tally.value(key)), percent(self.tally.standard_error(key))
                lines.append(f"{f'{section}.{name}':<28} {value:>6} {error:>5} {self.tally.count(key):>6}")
        return "\n".join(lines)

    def _detail_values(self) -> dict[str, dict[str, float | None]]:
        named = {f"{section}/{name}" for section, measures in self.definitions.items() for name in measures}
        found: dict[str, float | None] = {n: self.tally.value(n) for n in self.tally.names() if n not in named}
        nested: dict[str, dict[str, float | None]] = {}
        for key, value in {**found, **self.details}.items():
            section, name = key.split("/")
            nested.setdefault(section, {})[name] = _rounded(value)
        return nested

    def _shaped(self, of_name: Callable[[str], Any]) -> dict[str, Any]:
        return {
            section: {name: of_name(f"{section}/{name}") for name in measures}
            for section, measures in self.definitions.items()
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
