"""Whether scenes or batches are the same to the last bit."""

from __future__ import annotations

from typing import Any


def same(first: Any, second: Any) -> bool:
    """Whether two values, with arrays and tensors in dictionaries and lists, are equal."""
    if isinstance(first, dict):
        return (
            isinstance(second, dict)
            and first.keys() == second.keys()
            and all(same(first[name], second[name]) for name in first)
        )
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    if hasattr(first, "shape"):
        return first.shape == getattr(second, "shape", None) and bool((first == second).all())
    return bool(first == second)
