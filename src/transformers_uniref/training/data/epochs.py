"""In which order the rows of a dataset are used: any batch of any epoch by its number, without state."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...core.errors import UsageError

KEPT_ORDERS = 6


class EpochOrder:
    """An endless sequence of batches in which every epoch uses every row once.

    Rows belong to groups (portraits, landscapes) that are never mixed in a batch. The rows of an epoch come in a random
    order; a batch of a group is complete when its last row has come, so a batch may begin with rows that the epoch
    before left over. Everything follows from the arguments: no state, and batch 1000 costs what batch 0 costs.

    Args:
        groups: (n,) group number of each row.
        batch_size: rows of a batch.
        seed: what the orders are drawn from.
    """

    def __init__(self, groups: np.ndarray, batch_size: int, seed: tuple[int, ...]) -> None:
        if not len(groups):
            raise UsageError("groups: there is no row to order")
        self.groups = np.asarray(groups)
        self.batch_size = batch_size
        self.seed = seed
        self._sizes = {
            int(group): int(count) for group, count in zip(*np.unique(groups, return_counts=True), strict=True)
        }
        self._kept: dict[tuple[int, ...], Any] = {}

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.groups)

    def permutation(self, epoch: int) -> np.ndarray:
        """(n,) the rows in the order of `epoch`."""
        return np.random.default_rng((*self.seed, epoch)).permutation(len(self.groups))

    def batches_before(self, epoch: int) -> int:
        """Number of batches that are complete when `epoch` begins."""
        return sum(epoch * size // self.batch_size for size in self._sizes.values())

    def batch(self, number: int) -> tuple[int, np.ndarray]:
        """Epoch in which batch `number` is completed, and its rows (batch_size,)."""
        low, high = 0, 1
        while self.batches_before(high) <= number:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.batches_before(middle) <= number else (low, middle)
        group, of_group = self._complete(low)[number - self.batches_before(low)]
        size = self._sizes[group]
        positions = range(of_group * self.batch_size, (of_group + 1) * self.batch_size)
        rows = [self._positions(position // size, group)[0][position % size] for position in positions]
        return low, np.array(rows)

    def _keep(self, key: tuple[int, ...], value: Any) -> Any:
        """Remember what was computed last: at an epoch's boundary two epochs of every group are in use."""
        while len(self._kept) > KEPT_ORDERS:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = value
        return value

    def _positions(self, epoch: int, group: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows of `group` in the order of `epoch`, and where in the epoch they come."""
        if (epoch, group) in self._kept:
            return self._kept[epoch, group]
        order = self.permutation(epoch)
        where = np.flatnonzero(self.groups[order] == group)
        return self._keep((epoch, group), (order[where], where))

    def _complete(self, epoch: int) -> list[tuple[int, int]]:
        """(group, number in the group) of the batches that `epoch` completes, in order."""
        if (epoch,) in self._kept:
            return self._kept[epoch,]
        found = []
        for group, size in self._sizes.items():
            where = self._positions(epoch, group)[1]
            first, end = epoch * size // self.batch_size, (epoch + 1) * size // self.batch_size
            for of_group in range(first, end):
                last = (of_group + 1) * self.batch_size - 1 - epoch * size
                found.append((int(where[last]), group, of_group))
        return self._keep((epoch,), [(group, of_group) for _, group, of_group in sorted(found)])
