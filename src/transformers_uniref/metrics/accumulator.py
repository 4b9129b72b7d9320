"""Gathering what was measured, sample by sample and process by process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ..core.errors import KindError, UsageError

State = dict[str, Any]


class Accumulator(ABC):
    """Numbers of many samples, of which measures are computed at the end.

    Every process updates its own, sends `state_dict()` (plain numbers and strings, as Accelerate's `gather_object`
    carries them) and one of them merges what arrives. How samples were divided, and in which order they came, changes
    no bit of the result.
    """

    kind: ClassVar[str]
    """Names the class in its state."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []
        self._identifiers: set[str] = set()

    @property
    def options(self) -> dict[str, Any]:
        """The constructor's arguments; states of different options do not merge."""
        return {}

    def __len__(self) -> int:
        return len(self._rows)

    @abstractmethod
    def compute(self) -> dict[str, Any]:
        """The measures of all samples so far.

        Raises:
            ValueError: there are none.
        """

    def merge(self, other: Accumulator) -> Self:
        """Takes over another one's samples.

        Raises:
            TypeError: it measures something else.
            ValueError: it was made with other options, or holds a sample that is here already.
        """
        if type(other) is not type(self):
            raise KindError(f"`other` must be a {type(self).__name__}, got {type(other).__name__}")
        return self.load_state_dict(other.state_dict())

    def state_dict(self) -> State:
        """All samples as lists of plain numbers and strings."""
        return {"kind": self.kind, "options": self.options, "rows": [list(row) for row in self._rows]}

    def load_state_dict(self, state: Mapping[str, Any]) -> Self:
        """Adds the samples of a state to those that are here.

        Raises:
            ValueError: the state is of another kind or of other options, or holds a sample that is here already.
        """
        if state.get("kind") != self.kind:
            raise UsageError(f"`state` must be of kind {self.kind!r}, got {state.get('kind')!r}")
        if state.get("options") != self.options:
            raise UsageError(f"`state` must have the options {self.options}, got {state.get('options')}")
        for row in state["rows"]:
            self._add(*row)
        return self

    def _add(self, identifier: str | None, *numbers: Any) -> None:
        """Adds a sample. With an identifier, it must be the first of that name."""
        if identifier is not None:
            if identifier in self._identifiers:
                raise UsageError(f"`sample_id` must name a sample that was not measured yet, got {identifier!r} again")
            self._identifiers.add(identifier)
        self._rows.append((identifier, *numbers))

    def _columns(self) -> list[list[Any]]:
        """The numbers without identifiers, one list each, in an order that does not depend on how they came."""
        if not self._rows:
            raise UsageError("there must be at least one sample to measure, got none")
        return [list(column) for column in zip(*sorted(row[1:] for row in self._rows), strict=True)]
