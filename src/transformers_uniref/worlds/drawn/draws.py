"""Random numbers of the procedural world: one NumPy generator per scene, addressed by (seed, split, task, index)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

SPLITS = ("train", "validation", "test")
TASKS = ("image", "few_shot", "clip", "generalised", "sound")
"""Streams of random numbers. Their places are part of the addresses: new ones go to the end."""


class Draws:
    """Random decisions from one [`numpy.random.Generator`].

    Scalars come from blocks of uniform numbers, which is some twenty times cheaper than one call of the generator a
    decision; arrays come from `generator` directly. Equal addresses give equal sequences in every process.

    Args:
        seed: non-negative integer of any size.
        address: non-negative integers that name the stream below the seed, here (split, task, index).
    """

    def __init__(self, seed: int, *address: int) -> None:
        sequence = np.random.SeedSequence(entropy=seed, spawn_key=address)
        self.generator = np.random.Generator(np.random.PCG64(sequence))
        self._block: list[float] = []

    def random(self) -> float:
        """A number in [0, 1)."""
        if not self._block:
            self._block = self.generator.random(192).tolist()
        return self._block.pop()

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.random()

    def integer(self, low: int, high: int) -> int:
        """An integer in low..high, both included."""
        return low + int(self.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random() < probability

    def choice(self, items: Sequence[Item]) -> Item:
        """One of the items, all equally likely."""
        return items[int(self.random() * len(items))]

    def weighted(self, items: Sequence[Item], weights: Sequence[float]) -> Item:
        """One of the items; the weights need not add up to one."""
        point = self.random() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            point -= weight
            if point < 0:
                return item
        return items[-1]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """The items in a random order."""
        rest = list(items)
        for last in range(len(rest) - 1, 0, -1):
            other = int(self.random() * (last + 1))
            rest[last], rest[other] = rest[other], rest[last]
        return rest
