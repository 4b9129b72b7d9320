"""Rows that cannot be annotated: reported by their id, skipped up to a budget, and then an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.errors import UsageError


class BadSamples:
    """The rows that were found bad so far.

    Args:
        budget: how many may be skipped.
        report: called with a line for each new one.
    """

    def __init__(self, budget: int, report: Callable[[str], Any] = lambda line: None) -> None:
        self.budget = budget
        self.found: dict[str, str] = {}
        self._report = report

    def add(self, sample_id: str, reason: str) -> None:
        """Count a row.

        Raises:
            ValueError: it is one too many.
        """
        self._report(f"sample {sample_id} is skipped: {reason}")
        self.extend({sample_id: reason})

    def extend(self, found: Mapping[str, str]) -> None:
        """Count rows that were reported before.

        Raises:
            ValueError: they are too many.
        """
        self.found.update(found)
        if len(self.found) > self.budget:
            sample_id, reason = list(self.found.items())[-1]
            raise UsageError(
                f"sample {sample_id} cannot be annotated: {reason}; {len(self.found)} bad sample(s) so far "
                f"({', '.join(list(self.found)[-8:])}), `max_bad_samples` allows {self.budget}"
            )
