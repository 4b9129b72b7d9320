"""Streamed datasets in blocks that are shuffled and grouped by aspect, with a small state to continue from exactly.

The shuffle buffer of `datasets` is lost when a stream is resumed. Here the rows of a block are shuffled by a seed that
follows from the block's number, so a position is the state of the stream at the block's begin and the number of batches
that the block has given: a resumed stream reads its block once more. A block ends with its epoch.

Few-shot segmentation finds its examples in the block too: memory stays bounded, nothing is read twice, and the state
stays small. An index over a first pass would tell where examples are, but a stream cannot go there.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...core.errors import UsageError
from ...datasets.schema import Record, Row
from ..config.data import DatasetConfig
from .episodes import CategoryIndex
from .held_out import HeldOut
from .questions import usable

logger = logging.getLogger(__name__)


class Stream:
    """One lane (a loader process's part of one process's part) of a streamed dataset.

    Args:
        dataset: the `IterableDataset`.
        part, parts: this lane's number and the number of all lanes.
        batch_size: rows that `take` gives at a time.
        block: batches of a block.
        seed: what the blocks' orders are drawn from.
        aspect_grouping: give portraits and landscapes apart as far as a block allows.
        held_out: the pictures that must not be shown.
    """

    def __init__(
        self,
        config: DatasetConfig,
        dataset: Any,
        part: int,
        parts: int,
        batch_size: int,
        block: int,
        seed: tuple[int, ...],
        aspect_grouping: bool,
        held_out: HeldOut | None = None,
    ) -> None:
        import fsspec.asyn
        from datasets.distributed import split_dataset_by_node

        fsspec.asyn.reset_lock()  # a forked loader process must not wait for a lock of its parent
        self.config = config
        shuffled = dataset
        if parts > 1:
            shuffled = split_dataset_by_node(dataset, rank=part, world_size=parts)
        self._dataset = shuffled.with_format("arrow")
        self._rows: Iterator[Row] | None = None
        self.batch_size = batch_size
        self.block = block
        self.held_out = held_out
        self.seed = (*seed, part)
        self.aspect_grouping = aspect_grouping
        self._epoch = 0
        self._number = -1
        self._given = 0
        self._batches: list[list[Row]] = []
        self._begin: dict[str, Any] = {"epoch": 0, "dataset": None}
        self._epoch_is_empty = True
        self.pool: list[Row] = []
        self.categories: CategoryIndex | None = None
        self._warned = False

    def take(self) -> list[Row]:
        """The next `batch_size` rows. Every row of the lane comes once an epoch.

        Raises:
            ValueError: no row can be used for the task.
        """
        if self._given >= len(self._batches):
            self._number += 1
            self._read_block()
            self._given = 0
        self._given += 1
        return self._batches[self._given - 1]

    def place(self, row: Row) -> int:
        """Number of a row of the present block, for `categories` and `record`; 0 where examples are not sought."""
        return next((position for position, other in enumerate(self.pool) if other is row), 0)

    def record(self, position: int) -> Record:
        """Row `position` of the present block."""
        return self.record_of(self.pool[position])

    def record_of(self, row: Row) -> Record:
        """A row to read from."""
        return Record(row, self.sample_id(row))

    def sample_id(self, row: Row) -> str:
        """What reports call a row."""
        return f"{self.config.name}:{row.get('sample_id') or '?'}"

    def spare(self, rng: np.random.Generator) -> Row:
        """Some row of the present block, to replace one that cannot be read."""
        rows = [row for batch in self._batches for row in batch]
        return rows[int(rng.integers(len(rows)))]

    def state_dict(self) -> dict[str, Any]:
        """Where the last `take` ended."""
        return {"begin": self._begin, "number": self._number, "given": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` ends."""
        self._begin = state["begin"]
        self._epoch = int(self._begin["epoch"])
        self._number = int(state["number"])
        self._batches, self._given, self._rows = [], 0, None
        if self._number < 0:
            return
        self._dataset.set_epoch(self._epoch)
        if self._begin["dataset"] is not None:
            self._dataset.load_state_dict(self._begin["dataset"])
        self._rows = self._epoch_rows()
        self._epoch_is_empty = self._begin["dataset"] is None
        self._read_block(resumed=True)
        self._given = int(state["given"])

    def _epoch_rows(self) -> Iterator[Row]:
        # Unlike plain iteration, `iter` does not share the rows among loader processes a second time.
        for table in self._dataset.iter(batch_size=1):
            yield from table.to_pylist()

    def _read_block(self, resumed: bool = False) -> None:
        if not resumed:
            self._begin = {
                "epoch": self._epoch,
                "dataset": None if self._rows is None else copy.deepcopy(self._dataset.state_dict()),
            }
        rows = self._read(self.block * self.batch_size)
        while not rows:  # the block began where the epoch had ended
            rows = self._read(self.block * self.batch_size)
        if self.config.task == "fss":
            rows = self._with_examples(rows)
        missing = -len(rows) % self.batch_size
        if self.config.task == "fss":
            # A row of the next epoch would not find its examples here.
            repeated = [rows[position % len(rows)] for position in range(missing)]
            self._batches = self._arranged(rows, repeated)
            return
        filler: list[Row] = []
        while len(filler) < missing:
            filler += self._read(missing - len(filler))
        self._batches = self._arranged(rows, filler)

    def _with_examples(self, rows: list[Row]) -> list[Row]:
        """The rows whose category another row of the block shows; further rows are read until there are any."""
        last_epoch = self._epoch + 2
        while True:
            self.pool = rows
            self.categories = CategoryIndex([CategoryIndex.categories_of(Record(row)) for row in rows])
            found = [row for position, row in enumerate(rows) if self.categories.with_examples(position)]
            block = self.block * self.batch_size
            if len(found) * 2 < len(rows) and not self._warned:
                self._warned = True
                logger.warning(
                    "dataset %r: only %d of %d rows of a block of the stream show a category that another one shows, "
                    "and the others are passed over; raise mixture.block, or order the rows by category",
                    self.config.name,
                    len(found),
                    len(rows),
                )
            if found:
                return found
            if self._epoch >= last_epoch:
                raise UsageError(
                    f"dataset {self.config.name!r}: no category is shown by two rows of a block of {block} of this "
                    "part of the stream; raise mixture.block, order the rows by category, or set streaming: false"
                )
            rows = self._read(block)

    def _read(self, count: int) -> list[Row]:
        """The next `count` usable rows, or those that are left of the epoch; then the next one begins."""
        if self._rows is None:
            self._rows = self._epoch_rows()
            self._epoch_is_empty = True
        rows: list[Row] = []
        for row in self._rows:
            shown = self.held_out is None or self.held_out.allows(row.get("image_id"), self.config.name)
            if shown and usable(Record(row), self.config):
                rows.append(row)
                self._epoch_is_empty = False
            if len(rows) == count:
                return rows
        if self._epoch_is_empty:
            raise UsageError(
                f"dataset {self.config.name!r}: no row of this part of the stream has what the task "
                f"{self.config.task} asks for"
            )
        self._epoch += 1
        self._rows = None
        # From the second epoch on, this also shuffles the shards.
        self._dataset.set_epoch(self._epoch)
        return rows

    def _arranged(self, rows: list[Row], filler: list[Row]) -> list[list[Row]]:
        """Shuffled, and cut into batches of one aspect; what remains of both comes in mixed batches.

        `filler` (of the next epoch, or repeated) completes the last batch.
        """
        rng = np.random.default_rng((*self.seed, self._number))
        shuffled = [rows[int(position)] for position in rng.permutation(len(rows))]
        groups: list[list[Row]] = [[], []]
        for row in shuffled:
            portrait = self.aspect_grouping and (row.get("height") or 0) > (row.get("width") or 0)
            groups[portrait].append(row)
        batches, rest = [], []
        for group in groups:
            whole = len(group) // self.batch_size * self.batch_size
            batches += [group[start : start + self.batch_size] for start in range(0, whole, self.batch_size)]
            rest += group[whole:]
        rest += filler
        mixed = [rest[start : start + self.batch_size] for start in range(0, len(rest), self.batch_size)]
        last = [mixed.pop()] if filler else []
        batches += mixed
        return [batches[int(position)] for position in rng.permutation(len(batches))] + last
