"""What whoever is measured is asked: masks and scores for pictures, masks for clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from ..inference.results import SegmentedObject


class Answers(Protocol):
    """Whoever can be asked. Pictures are uint8 (H, W, 3), clips (T, H, W, 3), masks bool, those of pictures ungated."""

    def to_sentences(
        self, images: Sequence[np.ndarray], sentences: Sequence[Sequence[str | None]]
    ) -> list[list[SegmentedObject]]:
        """For each picture its sentences' answers. None asks with a text that says nothing."""

    def to_examples(
        self, images: Sequence[np.ndarray], examples: Sequence[np.ndarray], masks: Sequence[np.ndarray]
    ) -> list[SegmentedObject]:
        """For each picture what its K examples (K, H, W, 3) show under their masks (K, H, W), which may be empty."""

    def to_masks(
        self, frames: np.ndarray, label_maps: np.ndarray, first_frames: Mapping[int, int]
    ) -> dict[int, np.ndarray]:
        """Objects that are given by their mask in one frame, as disjoint masks (T, H, W); empty before that frame."""

    def to_clip_sentences(
        self,
        frames: np.ndarray,
        sentences: Mapping[int, str],
        first_masks: Mapping[int, np.ndarray],
        propagate: bool,
    ) -> dict[int, np.ndarray]:
        """Objects with a sentence each, some also with a mask (H, W) in the first frame, as masks (T, H, W).

        None of them takes pixels from another. `propagate`: what was found becomes a reference in later frames.
        """
