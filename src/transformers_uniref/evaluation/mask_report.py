"""The scores of masks, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .wording import percent

_NOT_MEASURES = {"protocol", "binary", "objects", "frames", "sequences", "annotators"}


def score_table(result: Mapping[str, Any]) -> str:
    """What `score_masks` returns as text, in percent: the measures of all sequences, then the main ones of each."""
    ids = ", all ids as one object" if result["binary"] else ""
    lines = [f"{result['protocol']}{ids}: {result['objects']} objects, {result['frames']} judged masks"]
    measures = {name: value for name, value in result.items() if name not in _NOT_MEASURES}
    width = max(map(len, measures))
    lines += [f"{name:<{width}} {percent(value):>6}" for name, value in measures.items()]
    for title in ("annotators", "sequences"):
        parts = result.get(title, {})
        if parts:
            columns = [name for name in ("J&F", "J", "F", "J&F-dot", "F-dot", "V") if name in measures]
            width = max(len(title), *map(len, parts))
            lines += ["", " ".join([f"{title:<{width}}", *(f"{name:>7}" for name in columns)])]
            for name, part in parts.items():
                lines.append(" ".join([f"{name:<{width}}", *(f"{percent(part[column]):>7}" for column in columns)]))
    return "\n".join(lines)
