"""Parquet shards: written row group by row group, whole or not at all, and recognised when a build goes on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...media.atomic import replacing
from ...optional import require
from ..schema import Row, features
from .base import Item, RowReader
from .remarks import Remarks

MEASURES = ("rows", "frames", "annotated_frames", "objects", "masks", "sentences", "sentences_without_target")
GROUP_BYTES = 32 << 20
GROUP_ROWS = 64
"""A row group is written when it holds this many rows or bytes of pictures, whichever comes first."""

_KEY = b"uniref"


def count_row(row: Mapping[str, Any]) -> Counter[str]:
    """What a row holds, in the terms of `MEASURES`."""
    sentences = row["sentences"]
    return Counter(
        rows=1,
        frames=len(row["frames"]),
        annotated_frames=sum(row["annotated"]),
        objects=len(row["instances"]),
        masks=sum(len(instance["masks"]) for instance in row["instances"]),
        sentences=len(sentences),
        sentences_without_target=sum(not entry["object_ids"] and entry["labelled"] for entry in sentences),
    )


def _row_bytes(row: Row) -> int:
    masks = (code for instance in row["instances"] for code in instance["masks"])
    return sum(len(frame["bytes"]) for frame in row["frames"]) + sum(len(code["png"] or b"") for code in masks)


def write_shard(reader: RowReader, items: Sequence[Item], path: Path, fingerprint: str) -> dict[str, Any]:
    """Make the rows of `items` and write them to `path`.

    Args:
        reader: makes them.
        items: of this shard, in order.
        path: of the file, which appears once it is whole.
        fingerprint: of the build; kept in the file, so that a later build knows the shard for its own.

    Returns:
        The shard's summary: `counts` and `remarks`.
    """
    pq = require("pyarrow.parquet", "data", "writing Parquet files")
    pa = require("pyarrow", "data", "writing Parquet files")
    schema = features().arrow_schema
    counts, remarks = Counter(dict.fromkeys(MEASURES, 0)), Remarks()
    group: list[Row] = []
    size = 0
    # No compression: pictures and masks are compressed already.
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, schema, compression="none", use_dictionary=False) as writer,
    ):
        for item in items:
            row = reader.row(item, remarks)
            if row is None:
                continue
            counts += count_row(row)
            group.append(row)
            size += _row_bytes(row)
            if size >= GROUP_BYTES or len(group) >= GROUP_ROWS:
                writer.write_table(pa.Table.from_pylist(group, schema=schema))
                group, size = [], 0
        if group:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
        summary = {
            "fingerprint": fingerprint,
            "counts": {measure: counts[measure] for measure in MEASURES},
            "remarks": remarks.to_dict(),
        }
        writer.add_key_value_metadata({_KEY.decode(): json.dumps(summary)})
    return summary


def read_summary(path: Path) -> dict[str, Any] | None:
    """The summary that a shard was written with; None where there is no whole file of this package."""
    pq = require("pyarrow.parquet", "data", "reading Parquet files")
    pa = require("pyarrow", "data", "reading Parquet files")
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    return json.loads(metadata[_KEY]) if _KEY in metadata else None


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a shard, one at a time; pictures stay encoded."""
    pq = require("pyarrow.parquet", "data", "reading Parquet files")
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            for position in range(len(table)):
                yield table.slice(position, 1).to_pylist()[0]


def shard_name(split: str, number: int, shards: int) -> str:
    """Of shard `number` of `shards`, as `datasets` expects it."""
    return f"{split}-{number:05d}-of-{shards:05d}.parquet"
