"""All objects that a reference means, out of a model's queries: none, one or many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from ..core.errors import UsageError
from ..modeling.object_choice import ObjectChoice, choose_objects

Targets = Literal["one", "all"]
TARGETS = ("one", "all")


def check_targets(targets: str) -> None:
    """Raises ValueError for anything but "one" and "all"."""
    if targets not in TARGETS:
        raise UsageError(f"`targets` must be 'one' (the best object) or 'all' (none, one or many), got {targets!r}.")


def read_choice(saved: Mapping[str, Any] | None) -> ObjectChoice:
    """The `all_targets` of a processor; the defaults where it says none, or leaves some out.

    Raises:
        ValueError: an unknown name, or a value outside 0..1.
    """
    known = [field.name for field in fields(ObjectChoice)]
    if unknown := [name for name in saved or {} if name not in known]:
        raise UsageError(f"`all_targets` must hold some of {', '.join(known)}, got {', '.join(unknown)}.")
    return ObjectChoice(**(saved or {}))


__all__ = ["TARGETS", "ObjectChoice", "Targets", "check_targets", "choose_objects", "read_choice"]
