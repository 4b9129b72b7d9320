"""Drawn scenes with sentences about none, one and many objects, as rows to be measured on."""

from __future__ import annotations

from ..core.errors import UsageError
from ..datasets.schema import Row
from ..worlds.drawn.records import generalised_row
from ..worlds.drawn.world import World
from .definitions import TEST_SEED


class DrawnRows:
    """See `evaluated_rows.Rows`: what `world-generalised` and `world-everything` are measured on, scene by scene.

    Args:
        split: "test" or "validation".
        seed: another seed draws other scenes.
        images: how many.
        size: side of the pictures in pixels.

    Raises:
        ValueError: an argument out of its range, or the train split, whose scenes would prove nothing.
    """

    def __init__(self, split: str = "test", seed: int = TEST_SEED, images: int = 400, size: int = 128) -> None:
        if split not in ("test", "validation"):
            raise UsageError(f"`split` must be test or validation, got {split!r}")
        if images < 1:
            raise UsageError(f"`images` must be at least 1, got {images}")
        self._world = World(split, size, seed)
        self.sample_ids = [f"{split}-{seed}-{size}-{index}" for index in range(images)]

    def row(self, index: int) -> Row:
        """See `Rows`."""
        return generalised_row(self._world, index, self.sample_ids[index])

    def categories(self) -> list[str]:
        """One scene shows many shapes."""
        return ["" for _ in self.sample_ids]
