"""A dataset to be annotated, whose rows are read by their numbers and never held together in memory.

Two kinds of datasets can give rows from the middle without reading all before them: tables on disk (saved by
`datasets`, or prepared in its cache), which are mapped into memory, and Parquet files, here or on the Hub, which are
streamed row group by row group. Other formats are prepared in the cache, or, on request, streamed file by file.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from ..core.errors import InvalidInputError, UsageError, one_line
from ..core.optional import require
from ..datasets.push import is_hub_id
from ..datasets.schema import Row

READ_ROWS = 32
"""Rows that are decoded at once from a Parquet file."""

_SCANNED_ROWS = 1024
_SAVED = ("dataset_info.json", "dataset_dict.json")


@dataclass
class Source:
    """An opened dataset.

    Attributes:
        name: Hub id, or the name of the folder or file, without its path.
        split: of the dataset.
        rows: a `datasets.Dataset`, or an `IterableDataset` whose shards are the parts that can be read on their own;
            pictures undecoded.
        folder: where relative paths in its columns begin.
        project: opens a stream of the same rows of which only some columns are read from the files.
    """

    name: str
    split: str
    rows: Any
    folder: Path | None = None
    project: Callable[[list[str]], Any] | None = None

    @property
    def features(self) -> Any:
        """Its `datasets.Features`."""
        return self.rows.features

    @property
    def is_stream(self) -> bool:
        """Whether the number of rows is unknown before they are read."""
        return hasattr(self.rows, "state_dict")

    def scan(self, columns: Sequence[str]) -> Iterator[Iterator[Row]]:
        """All rows with some columns, part by part; a table on disk is one part."""
        chosen = list(columns)
        if not self.is_stream:
            yield _table_rows(self.rows.select_columns(chosen)) if chosen else ({} for _ in range(len(self.rows)))
            return
        if not chosen:  # a stream has to read something to count its rows
            chosen = [min(self.features, key=lambda name: _weight(self.features[name]))]
        rows = self.rows.select_columns(chosen) if self.project is None else self.project(chosen)
        for number in range(rows.num_shards):
            yield iter(rows.shard(num_shards=rows.num_shards, index=number))

    def read(self, start: int, stop: int, sizes: Sequence[int], columns: Sequence[str]) -> Iterator[Row]:
        """The rows `start` to `stop` (exclusive), one at a time, with some columns; `sizes` are those of every part."""
        rows = self.rows.select_columns(list(columns))
        if not self.is_stream:
            yield from (rows[number] for number in range(start, stop))
            return
        for number, (size, end) in enumerate(zip(sizes, accumulate(sizes), strict=True)):
            first = max(start - (end - size), 0)
            last = min(stop - (end - size), size)
            if first < last:
                part = rows.shard(num_shards=rows.num_shards, index=number)
                yield from islice(part.skip(first) if first else part, last - first)


def _table_rows(table: Any) -> Iterator[Row]:
    for batch in table.iter(_SCANNED_ROWS):
        for values in zip(*batch.values(), strict=True):
            yield dict(zip(batch, values, strict=True))


def _weight(kind: Any) -> int:
    """0 for a number or a text, more for what may be large."""
    from datasets import Value

    return int(not isinstance(kind, Value) or kind.dtype in ("binary", "large_binary"))


def open_source(dataset: str, split: str | None = None, subset: str | None = None, streaming: bool = False) -> Source:
    """Open a dataset.

    Args:
        dataset: a folder of pictures with metadata, a folder saved by `datasets`, Parquet files (a folder, a file or a
            pattern), or a Hub id.
        split: which; None: the only one.
        subset: configuration of a dataset that has several.
        streaming: read formats other than Parquet as a stream, file by file and twice, instead of preparing them in the
            cache of `datasets`.

    Raises:
        ValueError: it cannot be found or opened, or the split has to be named; lists those that are there.
    """
    require("datasets", "data", "reading datasets")
    try:
        return _open(dataset, split, subset, streaming)
    except InvalidInputError:
        raise
    except Exception as error:
        # For damaged files the builders of `datasets` raise whatever the libraries of the formats do, and IndexError.
        reason = one_line(error.__cause__ or error)
        raise UsageError(f"`dataset`: {dataset!r} cannot be opened ({type(error).__name__}: {reason})") from error


def from_rows(rows: Any, name: str, split: str | None = None, folder: Path | None = None) -> Source:
    """A dataset that is open already: a `datasets.Dataset` or `IterableDataset`.

    The output calls it `name`; without a `split` it has its own, or "train"; relative paths in it begin in `folder`.

    Raises:
        ValueError: the columns of a stream are unknown.
    """
    if rows.features is None:
        raise UsageError(f"`dataset`: the columns of the stream {name!r} are unknown; give its features, or no stream")
    return Source(name, split or str(rows.split or "train"), _undecoded(rows), folder)


def _open(dataset: str, split: str | None, subset: str | None, streaming: bool) -> Source:
    from datasets import load_dataset_builder
    from datasets.packaged_modules.parquet.parquet import Parquet

    path = Path(dataset)
    is_pattern = glob.has_magic(dataset) and not path.exists()
    if not path.exists() and not is_pattern and not is_hub_id(dataset):
        raise FileNotFoundError("there is no such folder or file, and it is no Hub id of the form NAMESPACE/NAME")
    name = dataset if is_hub_id(dataset) else path.resolve().name
    folder = path if path.is_dir() else path.parent if path.is_file() else None
    if path.is_dir() and any((path / file).is_file() for file in _SAVED):
        table, chosen = _saved_table(dataset, split)
        return from_rows(table, name, chosen, folder)
    arguments: dict[str, Any] = {"path": dataset, "name": subset}
    if path.is_file() or is_pattern:
        files = sorted(glob.glob(dataset)) if is_pattern else [dataset]
        if not files or not all(file.lower().endswith(".parquet") for file in files):
            raise UsageError("a file, or a pattern of files, must be Parquet (*.parquet)")
        arguments = {"path": "parquet", "data_files": {split or "train": files}}
    builder = load_dataset_builder(**arguments)
    if isinstance(builder, Parquet):
        return _open_parquet(arguments, name, split, folder)
    if streaming:
        streams = builder.as_streaming_dataset()
        chosen = _choose_split(list(streams), split)
        return from_rows(streams[chosen], name, chosen, folder)
    builder.download_and_prepare()
    chosen = _choose_split(list(builder.info.splits or {}), split)
    return from_rows(builder.as_dataset(split=chosen), name, chosen, folder)


def _open_parquet(arguments: dict[str, Any], name: str, split: str | None, folder: Path | None) -> Source:
    from datasets import load_dataset_builder

    def stream(chosen: str | None, **options: Any) -> tuple[Any, str]:
        streams = load_dataset_builder(**arguments, **options).as_streaming_dataset()
        chosen = _choose_split(list(streams), chosen)
        return streams[chosen].reshard(), chosen

    rows, chosen = stream(split, batch_size=READ_ROWS)
    source = from_rows(rows, name, chosen, folder)
    source.project = lambda columns: stream(chosen, columns=columns)[0]
    return source


def _saved_table(dataset: str, split: str | None) -> tuple[Any, str]:
    from datasets import DatasetDict, load_from_disk

    loaded = load_from_disk(dataset)
    if isinstance(loaded, DatasetDict):
        chosen = _choose_split(list(loaded), split)
        return loaded[chosen], chosen
    own = str(loaded.split or split or "train")
    return loaded, _choose_split([own], split)


def _choose_split(found: Sequence[Any], split: str | None) -> str:
    names = [str(name) for name in found]
    if split is None and len(names) == 1:
        return names[0]
    if split not in names:
        raise InvalidInputError("split", "none" if split is None else repr(split), ", ".join(names) or "none is there")
    return split


def _undecoded(rows: Any) -> Any:
    """Pictures as {"bytes", "path"}."""
    from datasets import Image, List

    for name, kind in rows.features.items():
        if isinstance(kind, Image):
            rows = rows.cast_column(name, Image(decode=False))
        elif isinstance(kind, List) and isinstance(kind.feature, Image):
            rows = rows.cast_column(name, List(Image(decode=False)))
    return rows
