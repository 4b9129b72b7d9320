"""What a converter is: a plan of the rows of a split, and a reader that makes one row at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import InvalidInputError, UsageError
from ..schema import Row, make_row
from .remarks import Remarks
from .source_tree import SourceTree


@dataclass(frozen=True)
class Item:
    """A row to be made: its id, and what the reader needs to make it (small, picklable)."""

    sample_id: str
    payload: Any


@dataclass
class RowReader(ABC):
    """Makes rows. It is sent to worker processes, so that it opens its files when they are needed.

    Attributes:
        tree: where the files are.
        source, split: the columns of every row.
        collection: prefix of `image_id`.
    """

    tree: SourceTree
    source: str
    split: str
    collection: str

    @abstractmethod
    def row(self, item: Item, remarks: Remarks) -> Row | None:
        """The row of `item`; None where its pictures are missing (with a deviation in `remarks`)."""

    def made(
        self,
        item: Item,
        image: Any,
        size: tuple[int, int],
        frames: dict[str, dict[str, Any]],
        instances: Sequence[dict[str, Any]],
        sentences: Sequence[dict[str, Any]] = (),
        annotated: Sequence[bool] | None = None,
    ) -> Row:
        """The row of encoded frames by their names; `image` is the picture's, or clip's, name in its collection."""
        return make_row(
            item.sample_id,
            list(frames.values()),
            instances,
            sentences,
            source=self.source,
            split=self.split,
            image_id=f"{self.collection}:{image}",
            size=size,
            frame_names=list(frames),
            annotated=annotated,
        )


@dataclass
class Plan:
    """The rows of a split, known before a picture is read.

    Attributes:
        items: in the order of the rows.
        reader: makes them.
        annotation_files: paths in `tree` whose checksums are recorded.
        remarks: what is known so far.
        held_out: `image_id`s by set that no training may use (see `held_out.py`).
    """

    items: list[Item]
    reader: RowReader
    annotation_files: list[str]
    tree: SourceTree
    remarks: Remarks = field(default_factory=Remarks)
    held_out: dict[str, list[str]] = field(default_factory=dict)


PlanMaker = Callable[[SourceTree, str, Path], Plan]
"""(source, split, folder for indexes) -> plan. Raises FileNotFoundError naming the files that are missing."""


@dataclass(frozen=True)
class Converter:
    """One benchmark.

    Attributes:
        name: on the command line.
        title: in full.
        tasks: those of `datasets/schema.py` that its rows serve.
        splits: in the order of building.
        plan: see [`PlanMaker`].
        homepage, licence: for the card; the licence in the words of its authors, as far as they state one.
        rows_per_shard: rows of a Parquet file, unless the user says otherwise.
    """

    name: str
    title: str
    tasks: tuple[str, ...]
    splits: tuple[str, ...]
    plan: PlanMaker
    homepage: str
    licence: str = "see the homepage"
    rows_per_shard: int = 8

    def check_split(self, split: str) -> None:
        """Raises an InvalidInputError that lists the right ones."""
        if split not in self.splits:
            raise InvalidInputError("split", repr(split), f"{', '.join(self.splits)} (of {self.name})")


def check_unique(names: Sequence[str], what: str) -> None:
    """Check that nothing comes twice.

    Raises:
        ValueError: something does; names the first.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise UsageError(f"`source`: {what} {name!r} comes twice; every sample needs an id of its own")
        seen.add(name)
