"""Parquet shards: written row group by row group, whole or not at all, and recognised when the work goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ..core.atomic import replacing
from ..core.json_writing import to_json
from ..core.optional import require
from .schema import Row

GROUP_BYTES = 32 << 20
GROUP_ROWS = 64
"""A row group is written when it holds this many rows or bytes of pictures, whichever comes first."""

_KEY = b"uniref"


def arrow(doing: str) -> tuple[Any, Any]:
    """The packages `pyarrow` and `pyarrow.parquet`, for reading or writing."""
    what = f"{doing} Parquet files"
    return require("pyarrow", "data", what), require("pyarrow.parquet", "data", what)


def write_rows(
    path: Path, rows: Iterable[Row], features: Any, summary: Callable[[], dict[str, Any]], compression: str = "none"
) -> dict[str, Any]:
    """Write rows to a file that appears once it is whole; no more than a row group of them is held.

    Args:
        path, rows, features: the file, and what is in it.
        summary: called after the last row; what it gives is kept in the file, for [`read_summary`], and returned.
        compression: of the columns. Pictures and masks as PNG are compressed already.
    """
    pa, pq = arrow("writing")
    schema = features.arrow_schema
    group: list[Row] = []
    size = 0
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, schema, compression=compression, use_dictionary=False) as writer,
    ):
        for row in rows:
            group.append(row)
            size += _row_bytes(row)
            if size >= GROUP_BYTES or len(group) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
        found = summary()
        writer.add_key_value_metadata({_KEY.decode(): to_json(found)})
    return found


def _row_bytes(row: Row) -> int:
    masks = (code for instance in row["instances"] for code in instance["masks"])
    return sum(len(frame["bytes"]) for frame in row.get("frames", ())) + sum(len(code["png"] or b"") for code in masks)


def read_summary(path: Path) -> dict[str, Any] | None:
    """The summary that a shard was written with; None where there is no whole file of this package."""
    pa, pq = arrow("reading")
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    return json.loads(metadata[_KEY]) if _KEY in metadata else None


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a shard, one at a time; pictures stay encoded."""
    _, pq = arrow("reading")
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            for position in range(len(table)):
                yield table.slice(position, 1).to_pylist()[0]


def shard_name(split: str, number: int, shards: int) -> str:
    """Of shard `number` of `shards`, as `datasets` expects it."""
    return f"{split}-{number:05d}-of-{shards:05d}.parquet"
