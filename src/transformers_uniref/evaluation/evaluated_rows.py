"""The rows of a data set to be measured on, one at a time: from Parquet files, from an open dataset, from folders."""

from __future__ import annotations

import os
import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ..core.errors import KindError, UsageError
from ..datasets.parquet_shards import arrow
from ..datasets.schema import Record, Row, Sentence, check_columns
from ..processors.text import says_nothing
from .benchmarks import BENCHMARKS, Benchmark
from .photo_rows import PhotoPairRows, PhotoRows
from .sequence_folders import SequenceRows
from .wording import some
from .world_rows import DrawnRows

PHOTOS = "photos"
"""The source of rows that folders of photographs become, for whichever of both benchmarks."""

_SHARD = re.compile(r"(?P<split>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})\.parquet")
_KEPT_GROUPS = 4


class Rows(Protocol):
    """Rows by number."""

    sample_ids: list[str]

    def row(self, index: int) -> Row:
        """A row of the schema; pictures may be encoded."""

    def categories(self) -> list[str]:
        """The category of each row's first object, "" without one, read without pictures."""


def open_rows(benchmark: Benchmark, dataset: Any, split: str) -> Rows:
    """The rows of a split.

    Args:
        benchmark, split: what is measured.
        dataset: folder that `uniref data build` wrote, `datasets.Dataset` of one split, or list of rows; for
            `davis-like` and `davis-like-unsupervised` a folder of sequences, for `photos`, `photos-everything` and
            `photo-pairs` one of photographs, for `world-generalised` and `world-everything` `DrawnRows`.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no such split there, a column is missing, an id comes twice, or it is another data set.
    """
    rows: Rows
    if isinstance(dataset, DrawnRows):
        rows = dataset
    elif not isinstance(dataset, (str, os.PathLike)):
        rows = GivenRows(dataset, benchmark)
    elif benchmark.name in ("davis-like", "davis-like-unsupervised"):
        rows = SequenceRows(Path(dataset))
    elif benchmark.name == "photos":
        rows = PhotoRows(Path(dataset))
    elif benchmark.name == "photos-everything":
        rows = PhotoRows(Path(dataset), with_sentences=False)
    elif benchmark.name == "photo-pairs":
        rows = PhotoPairRows(Path(dataset))
    else:
        rows = ParquetRows(Path(dataset), split, benchmark)
    if not rows.sample_ids:
        raise UsageError(f"`dataset` must hold at least one sample of the split {split}, got none")
    if doubled := [name for name, times in Counter(rows.sample_ids).items() if times > 1]:
        raise UsageError(f"`dataset` must have unique sample ids, these come again: {some(doubled)}")
    source = str(rows.row(0).get("source") or "")
    # Where all objects are asked for, the rows of any benchmark will do.
    anyones = benchmark.family in ("everything", "uvos")
    if not anyones and source not in (benchmark.name, PHOTOS) and source in BENCHMARKS:
        raise UsageError(f"`dataset` must hold {benchmark.name}, got rows of {source}")
    return rows


def check_asked(record: Record, asked: Iterable[Sentence]) -> None:
    """Refuses a row with a sentence that nobody can answer, before a model is asked.

    Raises:
        ValueError: naming the row and the place of the sentence in it, from 0.
    """
    for sentence in asked:
        if says_nothing(sentence.text):
            place = record.sentences.index(sentence)
            raise UsageError(
                f"`dataset` has a sentence without a word, {sentence.text!r}, number {place} of row {record.sample_id}"
            )


class ParquetRows:
    """The shards of a split, `data/SPLIT-*.parquet`. Row groups are read when they are needed, a few are kept."""

    def __init__(self, folder: Path, split: str, benchmark: Benchmark) -> None:
        _, pq = arrow("reading")
        if not folder.is_dir():
            raise FileNotFoundError(f"`dataset` must be a folder of `uniref data build`, found none: {folder}")
        self._files = [pq.ParquetFile(path) for path in _shards(folder, split)]
        for file in self._files:
            _check_columns(file.schema_arrow.names, benchmark)
        self.sample_ids: list[str] = []
        self._places: list[tuple[int, int, int]] = []
        for number, file in enumerate(self._files):
            self.sample_ids += file.read(columns=["sample_id"])["sample_id"].to_pylist()
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                self._places += [(number, group, offset) for offset in range(count)]
        self._groups: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def row(self, index: int) -> Row:
        """See `Rows`."""
        number, group, offset = self._places[index]
        if (number, group) not in self._groups:
            self._groups[number, group] = self._files[number].read_row_group(group)
            while len(self._groups) > _KEPT_GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end((number, group))
        row: Row = self._groups[number, group].slice(offset, 1).to_pylist()[0]
        return row

    def categories(self) -> list[str]:
        """See `Rows`."""
        found: list[str] = []
        for file in self._files:
            paths = [file.schema.column(index).path for index in range(len(file.schema))]
            wanted = [path for path in paths if path.startswith("instances.") and path.endswith(".category")]
            found += [_category(row) for row in file.read(columns=wanted)["instances"].to_pylist()]
        return found


def _check_columns(columns: Sequence[str] | None, benchmark: Benchmark) -> None:
    check_columns(columns, benchmark.task, benchmark.name)
    if columns is not None and "sample_id" not in columns:
        raise UsageError(f"`dataset` lacks the column sample_id; it has {', '.join(columns)}")


def _category(instances: Sequence[Any]) -> str:
    return str(instances[0].get("category") or "") if instances else ""


def _shards(folder: Path, split: str) -> list[Path]:
    """The files of a split, all of them or an error."""
    home = folder / "data" if (folder / "data").is_dir() else folder
    by_split: dict[str, dict[int, Path]] = {}
    counts: dict[str, int] = {}
    for path in sorted(home.glob("*.parquet")):
        if match := _SHARD.fullmatch(path.name):
            by_split.setdefault(match["split"], {})[int(match["number"])] = path
            counts[match["split"]] = int(match["count"])
    if not by_split:
        raise UsageError(
            f"`dataset` must hold data/SPLIT-00000-of-00001.parquet, as `uniref data build` writes: {folder}"
        )
    if split not in by_split:
        raise UsageError(f"`split` {split!r} is not in {folder}, which has {', '.join(by_split)}")
    if missing := sorted(set(range(counts[split])) - set(by_split[split])):
        raise UsageError(
            f"`dataset` lacks {len(missing)} of {counts[split]} files of {split}; finish its build: {folder}"
        )
    return [by_split[split][number] for number in sorted(by_split[split])]


class GivenRows:
    """Rows that are there already: a `datasets.Dataset` or a list."""

    def __init__(self, dataset: Any, benchmark: Benchmark) -> None:
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__") or hasattr(dataset, "keys"):
            kind = type(dataset).__name__
            raise KindError(
                f"`dataset` must be a folder, a datasets.Dataset of one split or a list of rows, got {kind}"
            )
        self._rows = dataset
        columns = getattr(dataset, "column_names", None) or (list(dataset[0]) if len(dataset) else None)
        _check_columns(columns, benchmark)
        ids = dataset["sample_id"] if hasattr(dataset, "column_names") else [row["sample_id"] for row in dataset]
        self.sample_ids = [str(name) for name in ids]

    def row(self, index: int) -> Row:
        """See `Rows`."""
        row: Row = self._rows[index]
        return row

    def categories(self) -> list[str]:
        """See `Rows`."""
        rows = self._rows.select_columns(["instances"]) if hasattr(self._rows, "select_columns") else self._rows
        return [_category(row["instances"]) for row in rows]
