"""Few-shot episodes: which rows show which category, so that examples are found without looking at pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.errors import UsageError
from ...datasets.schema import Record
from .questions import category_key, segmented

ROWS_PER_CATEGORY = 20_000


class CategoryIndex:
    """Rows by category and categories by row, for objects with masks.

    A category keeps at most `rows_per_category` rows to take examples from, spread evenly over the dataset.

    Args:
        categories: per row the categories that it shows.
        rows_per_category: the bound.
    """

    def __init__(self, categories: Sequence[Sequence[str]], rows_per_category: int = ROWS_PER_CATEGORY) -> None:
        self.names = sorted({name for of_row in categories for name in of_row})
        number = {name: position for position, name in enumerate(self.names)}
        pairs = [(number[name], row) for row, of_row in enumerate(categories) for name in of_row]
        table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        self._of_row_starts = np.searchsorted(table[:, 1], np.arange(len(categories) + 1))
        self._of_row = table[:, 0].astype(np.int32)
        by_category = table[np.argsort(table[:, 0], kind="stable")]
        starts = np.searchsorted(by_category[:, 0], np.arange(len(self.names) + 1))
        self._rows = []
        for start, end in zip(starts, starts[1:], strict=False):
            rows = by_category[start:end, 1]
            if len(rows) > rows_per_category:
                rows = rows[np.linspace(0, len(rows) - 1, rows_per_category).astype(np.int64)]
            self._rows.append(rows)

    @staticmethod
    def categories_of(record: Record) -> list[str]:
        """The categories of the objects with masks in the first frame of `record`, sorted."""
        names = {category_key(instance) for instance in segmented(record) if instance.shows(0)}
        return sorted(names - {""})

    def with_examples(self, row: int) -> list[str]:
        """The categories of `row` that other rows show too."""
        numbers = self._of_row[self._of_row_starts[row] : self._of_row_starts[row + 1]]
        return [self.names[number] for number in numbers if len(self._rows[number]) > 1]

    def examples(self, category: str, row: int, count: int, rng: np.random.Generator) -> list[int]:
        """`count` rows other than `row` that show `category`, different ones as far as there are."""
        others = self._rows[self.names.index(category)]
        others = others[others != row]
        if not len(others):
            raise UsageError(f"category {category!r} has no row but {row}")
        chosen = rng.choice(others, size=min(count, len(others)), replace=False)
        return [int(chosen[position % len(chosen)]) for position in range(count)]

    def absent(self, row: int, rng: np.random.Generator) -> str | None:
        """A category that `row` does not show, or None when it shows all."""
        shown = set(self._of_row[self._of_row_starts[row] : self._of_row_starts[row + 1]].tolist())
        others = [position for position in range(len(self.names)) if position not in shown]
        return self.names[int(rng.choice(others))] if others else None
