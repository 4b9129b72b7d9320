"""Opening the datasets of a run, and what is known of a map-style one before a picture is decoded."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import UsageError, one_line
from ...core.optional import require
from ...datasets.schema import Record, Row, check_columns
from ...processors.text import normalise_sentence
from ..config.data import WORLD_SOURCES, DatasetConfig
from .episodes import CategoryIndex
from .epochs import EpochOrder
from .held_out import HeldOut
from .questions import light_records, single_counts, usable

SCANNED_ROWS = 2048
CLIP_FRAMES = 8


def open_dataset(config: DatasetConfig, seed: int = 0, opened: Any = None) -> Any:
    """The `datasets.Dataset` or `IterableDataset` of `config`, with the columns that its task needs.

    Args:
        seed: of the world, where that is the source.
        opened: the dataset itself, where it is open already; its source is not looked at.

    Raises:
        ValueError: it cannot be found or opened, or lacks a column.
    """
    if opened is None and not config.source:
        raise UsageError(f"datasets ({config.name}).source: not set; give a folder, Parquet files or a Hub id")
    if opened is None and config.source in WORLD_SOURCES:
        return _open_world(config, seed)
    try:
        dataset = _open_files(config) if opened is None else opened
    except (OSError, ValueError, ConnectionError) as error:
        raise UsageError(
            f"datasets ({config.name}).source: {config.source!r} cannot be opened ({one_line(error)})"
        ) from error
    if hasattr(dataset, "state_dict") != config.streaming:
        kind = "a stream" if hasattr(dataset, "state_dict") else "map-style"
        raise UsageError(f"datasets ({config.name}).streaming: got {config.streaming}, but the dataset is {kind}")
    check_columns(dataset.column_names, config.task, config.name)
    if config.samples:
        if config.streaming:
            return dataset.take(config.samples)
        return dataset.select(range(min(config.samples, len(dataset))))
    return dataset


def _open_world(config: DatasetConfig, seed: int) -> Any:
    from ...worlds.drawn.records import world_dataset, world_stream

    kind = WORLD_SOURCES[config.source]
    size = max(64, *config.short_sides)
    opened = world_stream if config.streaming else world_dataset
    return opened(kind, config.split, config.samples, seed=seed, size=size, frames=CLIP_FRAMES)


def _open_files(config: DatasetConfig) -> Any:
    require("datasets", "train", "training on datasets")
    from datasets import DatasetDict, load_dataset, load_from_disk

    path = Path(config.source)
    if path.is_dir() and ((path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file()):
        dataset = load_from_disk(config.source)
        if isinstance(dataset, DatasetDict):
            if config.split not in dataset:
                raise UsageError(f"split {config.split!r}; there are {', '.join(dataset)}")
            dataset = dataset[config.split]
        shards = max(1, min(64, len(dataset)))
        return dataset.to_iterable_dataset(num_shards=shards) if config.streaming else dataset
    files = _parquet_files(config)
    if files:
        return load_dataset("parquet", data_files={config.split: files}, split=config.split, streaming=config.streaming)
    return load_dataset(
        config.source,
        config.subset or None,
        split=config.split,
        revision=config.revision or None,
        streaming=config.streaming,
    )


def _parquet_files(config: DatasetConfig) -> list[str]:
    """Local Parquet files that `source` names; of a folder those of the split, where names begin with splits."""
    path = Path(config.source)
    if path.is_dir():
        found = sorted(str(file) for file in path.rglob("*.parquet"))
        of_split = [file for file in found if Path(file).name.startswith(f"{config.split}-")]
        return of_split or found
    if path.is_file() or glob.has_magic(config.source):
        return sorted(glob.glob(config.source)) if glob.has_magic(config.source) else [config.source]
    return []


class IndexedDataset:
    """A map-style dataset in the order in which a run uses it.

    Args:
        seed: of the run and the number of the dataset in it.
        aspect_grouping: keep portraits and landscapes apart.
        dataset: opened already.
        held_out: the pictures that must not be shown.

    Raises:
        ValueError: no row can be used for the task, or what is held out of its pictures is not known.
    """

    def __init__(
        self,
        config: DatasetConfig,
        seed: tuple[int, int],
        aspect_grouping: bool,
        dataset: Any,
        held_out: HeldOut | None = None,
    ) -> None:
        self.config = config
        self.rows = dataset.with_format("arrow")
        self.categories: CategoryIndex | None = None
        self._allowed = self._not_held_out(held_out)
        self.usable = self._scan()
        if not len(self.usable):
            raise UsageError(
                f"dataset {config.name!r}: none of its {len(dataset)} rows has what the task {config.task} asks for"
            )
        groups = self._portrait()[self.usable] if aspect_grouping else np.zeros(len(self.usable), dtype=bool)
        self.order = EpochOrder(groups, config.batch_size, seed)

    def __len__(self) -> int:
        """Number of rows that the task can use."""
        return len(self.usable)

    def row(self, index: int) -> Row:
        """Row `index` of the dataset; pictures and masks stay encoded."""
        return self.rows[int(index)].to_pylist()[0]

    def record(self, index: int) -> Record:
        """Row `index` to read from."""
        return Record(self.row(index), self.sample_id(index))

    def spare(self, rng: np.random.Generator) -> int:
        """Some row that the task can use, to take the place of one that cannot be read."""
        return int(rng.choice(self.usable))

    def sample_id(self, index: int) -> str:
        """What reports call row `index`."""
        return f"{self.config.name}:{index}"

    def batch(self, number: int) -> np.ndarray:
        """(batch_size,) rows of batch `number`."""
        return self.usable[self.order.batch(number)[1]]

    def _tables(self, columns: Sequence[str]) -> Iterator[Any]:
        light = self.rows.select_columns([name for name in columns if name in self.rows.column_names])
        for start in range(0, len(light), SCANNED_ROWS):
            yield light[start : start + SCANNED_ROWS]

    def _scan(self) -> np.ndarray:
        config = self.config
        if config.task == "detection":  # the largest datasets: no loop over objects
            counts = np.concatenate([single_counts(table) for table in self._tables(("instances",))])
            return np.flatnonzero((counts > 0) & self._allowed)
        found: list[bool] = []
        categories: list[list[str]] = []
        for table in self._tables(("frames", "annotated", "instances", "sentences")):
            for record in light_records(table):
                allowed = bool(self._allowed[len(found)])
                found.append(allowed and usable(record, config))
                if config.task == "fss":  # a row that is held out is no example either
                    categories.append(CategoryIndex.categories_of(record) if allowed else [])
        if config.task == "fss":
            self.categories = CategoryIndex(categories)
            found = [bool(self.categories.with_examples(row)) for row in range(len(categories))]
        return np.flatnonzero(found)

    def _not_held_out(self, held_out: HeldOut | None) -> np.ndarray:
        if held_out is None or "image_id" not in self.rows.column_names:
            return np.ones(len(self.rows), dtype=bool)
        tables = self._tables(("image_id",))
        return np.concatenate([held_out.allowed(table.column("image_id"), self.config.name) for table in tables])

    def _portrait(self) -> np.ndarray:
        if not {"height", "width"} <= set(self.rows.column_names):
            return np.zeros(len(self.rows), dtype=bool)
        sides = [
            (np.asarray(table.column("height")), np.asarray(table.column("width")))
            for table in self._tables(("height", "width"))
        ]
        return np.concatenate([height > width for height, width in sides])

    def words(self) -> set[str]:
        """The words of all its sentences."""
        words: set[str] = set()
        if self.config.task not in ("ris", "rvos"):
            return words
        for table in self._tables(("sentences",)):
            for sentences in table.column("sentences").to_pylist():
                for sentence in sentences or ():
                    words.update(normalise_sentence(sentence["text"]).split())
        return words
