"""J and F of every object in every frame, gathered frame by frame."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..core.errors import KindError, UsageError
from .accumulator import Accumulator
from .assignment import Series, assign_by_id, assign_by_overlap, frame_order
from .boundary import TOLERANCE, adaptive_radius, diagonal_radius, outline_measure
from .outlines import Outline
from .region import smoothed_ratio
from .video_protocols import VOID, VideoProtocol, judged_frames, video_protocol
from .video_summary import summarise

NOTHING = 0
"""Stands for a prediction without a pixel."""


class VideoScores(Accumulator):
    """J, F and what a protocol makes of them. One sample is an object in a frame of a clip.

    Args:
        protocol: a name of `PROTOCOLS`, or rules of one's own.

    Raises:
        ValueError: an unknown name.
    """

    kind = "video"

    def __init__(self, protocol: str | VideoProtocol) -> None:
        super().__init__()
        self.protocol = video_protocol(protocol) if isinstance(protocol, str) else protocol

    @property
    def options(self) -> dict[str, Any]:
        """See `Accumulator`."""
        return {"protocol": self.protocol.name}

    def update(
        self, sequence: str, frame: str, predicted: np.ndarray, target: np.ndarray, objects: Collection[int]
    ) -> VideoScores:
        """Measures the objects of a frame that counts.

        Args:
            sequence: the clip's name.
            frame: the frame's name; frames are put in the order of their names (as numbers, where they are numbers).
            predicted: integer (H, W), ids of objects, 0 = background.
            target: integer (H, W), ids of objects, 0 = background, 255 = void.
            objects: the ids that are judged here, see `judged_frames`.

        Raises:
            TypeError: label maps that are not integers.
            ValueError: label maps of different sizes, or a frame that came before.
        """
        for name, labels in (("predicted", predicted), ("target", target)):
            if not np.issubdtype(labels.dtype, np.integer):
                raise KindError(f"`{name}` must be a label map of integers, got {labels.dtype}")
            if labels.ndim != 2:
                raise UsageError(f"`{name}` must have shape (height, width), got {labels.shape}")
        if predicted.shape != target.shape:
            raise UsageError(f"`predicted` and `target` must have one size, got {predicted.shape} and {target.shape}")
        if self.protocol.ignores_void:
            predicted = np.where(target == VOID, 0, predicted)
        radius = diagonal_radius(target.shape)
        outlines: dict[int, tuple[np.ndarray, Outline]] = {}
        for number in sorted(objects):
            mask = target == number
            outline = Outline(mask)
            for candidate in self._candidates(number, predicted):
                if candidate not in outlines:
                    found = predicted == candidate if candidate != NOTHING else np.zeros(target.shape, dtype=bool)
                    outlines[candidate] = found, Outline(found)
                values = self._values(*outlines[candidate], mask, outline, radius)
                identifier = f"{sequence}/{frame}/{number}/{candidate}"
                self._add(identifier, sequence, frame, number, candidate, *values, bool(mask.any()))
        return self

    def update_clip(self, sequence: str, clip: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> VideoScores:
        """Measures a whole clip that fits in memory; which objects count in which frames is the protocol's choice.

        Args:
            sequence: the clip's name.
            clip: for each annotated frame the predicted and the true label map, see `update`.

        Raises:
            TypeError, ValueError: see `update` and `judged_frames`.
        """
        frames = sorted(clip, key=frame_order)
        ids = {frame: {int(value) for value in np.unique(clip[frame][1])} - {0, VOID} for frame in frames}
        judged = judged_frames(self.protocol, frames, ids)
        for frame in frames:
            objects = [number for number, chosen in judged.items() if frame in chosen]
            if objects:
                self.update(sequence, frame, *clip[frame], objects)
        return self

    def compute(self, unseen: Collection[str] | None = None) -> dict[str, Any]:
        """The measures of the protocol, see `summarise`, and under `sequences` those of each clip and object.

        Args:
            unseen: "CLIP" or "CLIP/OBJECT" of what belongs to categories that were not trained on.

        Raises:
            ValueError: nothing was measured; `unseen` names nothing of it, or all of it.
        """
        if not self._rows:
            raise UsageError("there must be at least one sample to measure, got none")
        return summarise(self.protocol, self._series(), unseen)

    def _candidates(self, number: int, predicted: np.ndarray) -> list[int]:
        """Which predicted ids may be the object: in matching all of them, and for frames without them none."""
        if not self.protocol.matching:
            return [number]
        return [NOTHING, *(int(label) for label in np.unique(predicted) if label)]

    def _values(
        self, found: np.ndarray, found_outline: Outline, mask: np.ndarray, outline: Outline, radius: float
    ) -> list[float]:
        """J, F, and F with a radius that depends on the object's area, 0 where it is not asked for."""
        intersection = int(np.count_nonzero(found & mask))
        union = int(np.count_nonzero(found)) + int(np.count_nonzero(mask)) - intersection
        j = float(smoothed_ratio(intersection, union, self.protocol.smoothing))
        if not self.protocol.adaptive:
            return [j, outline_measure(found_outline, outline, radius), 0.0]
        small = adaptive_radius(mask)
        # The published code rounds the radius of the usual F only where the adaptive one is smaller.
        usual = radius if small < TOLERANCE * float(np.linalg.norm(mask.shape)) else small
        dot = outline_measure(found_outline, outline, small)
        return [j, dot if usual == small else outline_measure(found_outline, outline, usual), dot]

    def _series(self) -> dict[str, dict[int, Series]]:
        """For each clip and object the values of the prediction that it was assigned, over frames."""
        clips: dict[str, dict[int, dict[int, dict[str, tuple[float, ...]]]]] = {}
        for _, sequence, frame, number, candidate, *values in self._rows:
            clips.setdefault(sequence, {}).setdefault(number, {}).setdefault(candidate, {})[frame] = tuple(values)
        assign = assign_by_overlap if self.protocol.matching else assign_by_id
        return {sequence: assign(clips[sequence]) for sequence in sorted(clips)}
