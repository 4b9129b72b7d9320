"""A shard of a converted data set: its rows made one at a time, counted and remarked upon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...processors.text import says_nothing
from ..parquet_shards import write_rows
from ..schema import Row, features
from .base import Item, RowReader
from .remarks import Remarks

MEASURES = ("rows", "frames", "annotated_frames", "objects", "masks", "sentences", "sentences_without_target")


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


def write_shard(reader: RowReader, items: Sequence[Item], path: Path, fingerprint: str) -> dict[str, Any]:
    """Make the rows of `items` and write them to `path`, which appears once it is whole.

    Returns:
        The shard's summary: `counts`, `remarks`, and the build's `fingerprint`. It is kept in the file, so that a later
        build knows the shard for its own.
    """
    counts, remarks = Counter(dict.fromkeys(MEASURES, 0)), Remarks()

    def rows() -> Iterator[Row]:
        for item in items:
            row = reader.row(item, remarks)
            if row is not None:
                counts.update(count_row(row))
                for place, entry in enumerate(row["sentences"]):
                    if says_nothing(entry["text"]):
                        remarks.note("sentences without a word", f"{item.sample_id}, sentence {place}")
                yield row

    def summary() -> dict[str, Any]:
        return {
            "fingerprint": fingerprint,
            "counts": {measure: counts[measure] for measure in MEASURES},
            "remarks": remarks.to_dict(),
        }

    return write_rows(path, rows(), features(), summary)
