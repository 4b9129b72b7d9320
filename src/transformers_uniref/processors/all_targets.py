"""All objects that a reference means, out of a model's queries: none, one or many."""

from __future__ import annotations

from typing import Literal

from ..core.errors import UsageError
from ..modeling.object_choice import choose_objects

Targets = Literal["one", "all"]
TARGETS = ("one", "all")


def check_targets(targets: str) -> None:
    """Raises ValueError for anything but "one" and "all"."""
    if targets not in TARGETS:
        raise UsageError(f"`targets` must be 'one' (the best object) or 'all' (none, one or many), got {targets!r}.")


__all__ = ["TARGETS", "Targets", "check_targets", "choose_objects"]
