"""Lists in messages."""

from __future__ import annotations

from collections.abc import Iterable


def some(names: Iterable[object], most: int = 5) -> str:
    """The first names, and how many more there are."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
