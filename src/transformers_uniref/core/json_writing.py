"""JSON of what results hold: besides Python's own types, numbers of NumPy and PyTorch, and paths.

Everything that the package writes as JSON passes here.
"""

from __future__ import annotations

import json
import os
from typing import Any

from .errors import KindError


def to_json(value: Any, **options: Any) -> str:
    """`json.dumps` that writes scalars and rows of NumPy and PyTorch as numbers and lists, and paths as texts.

    Args:
        value: anything that JSON knows, with such values in it, also as keys of dictionaries.
        **options: of `json.dumps`.

    Raises:
        TypeError: something else is in it.
        ValueError: a number that is not finite, which JSON does not know, and `allow_nan=False`.
    """
    return json.dumps(_with_plain_keys(value), default=plain, **options)


def plain(value: Any) -> Any:
    """A scalar or a row of NumPy or PyTorch as Python's numbers, a path as text; the `default` of `json.dumps`.

    Raises:
        TypeError: something else. Masks and pictures have codes of their own; as lists of lists nobody reads them.
    """
    if hasattr(value, "tolist") and getattr(value, "ndim", 2) < 2:
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise KindError(f"Object of type {type(value).__name__} is not JSON serializable")


def _with_plain_keys(value: Any) -> Any:
    """`json` hands only values to `default`, so keys are made plain before."""
    if isinstance(value, dict):
        known = (str, int, float, bool, type(None))
        return {key if isinstance(key, known) else plain(key): _with_plain_keys(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_plain_keys(item) for item in value]
    return value
