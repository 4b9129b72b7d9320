"""What a data source hands to the collation: one image with the questions that are asked about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from .mixture import ScenePlan


@dataclass
class Entry:
    """One question about an image and its answer.

    Attributes:
        task: name of the task, for the log.
        sentence: language reference, or None.
        reference_images: (K, H, W, 3) uint8, or None.
        reference_masks: (K, H, W) bool, or None.
        target: (H, W) bool; no pixel set means that the target is absent.
        others: (m, H, W) bool, masks of other objects of the image (for the log: was the right object chosen?).
    """

    task: str
    target: np.ndarray
    others: np.ndarray
    sentence: str | None = None
    reference_images: np.ndarray | None = None
    reference_masks: np.ndarray | None = None


@dataclass
class Sample:
    """One query image, (H, W, 3) uint8, and at least one question."""

    image: np.ndarray
    entries: list[Entry] = field(default_factory=list)


class SampleSource(Protocol):
    """A data source: from the plan of a scene to a sample, without any state of its own."""

    def draw(self, plan: ScenePlan) -> Sample:
        """Draw the planned scene. Equal plans give equal samples."""
        ...

    def vocabulary(self) -> Sequence[str]:
        """The words that its sentences are made of."""
        ...
