"""Video object segmentation, as a module of the package `evaluate`."""

from __future__ import annotations

import evaluate
import numpy as np

from transformers_uniref.metrics import VideoScores
from transformers_uniref.metrics.modules import metric_info

DESCRIPTION = "J, F and J&F by the rules of DAVIS, YouTube-VOS, LVOS or MOSE, one sample a frame."
INPUTS = """
        predictions: uint8 (H, W) label maps, 0 = background, other values ids of objects.
        references: uint8 (H, W) true label maps, 255 = void. Frames without one must be left out.
        sequences: the clip of each frame.
        frames: the name of each frame, such as 00005.
        protocol: a name of `transformers_uniref.metrics.PROTOCOLS` (default: davis-semi-supervised).
"""


class Video(evaluate.Metric):
    """See `VideoScores`."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info(DESCRIPTION, INPUTS, "sequences", "frames")

    def _compute(
        self,
        predictions: list,
        references: list,
        sequences: list[str],
        frames: list[str],
        protocol: str = "davis-semi-supervised",
    ) -> dict:
        scores = VideoScores(protocol)
        clips: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
        for predicted, target, sequence, frame in zip(predictions, references, sequences, frames, strict=True):
            clips.setdefault(sequence, {})[frame] = (np.asarray(predicted), np.asarray(target))
        for sequence, clip in clips.items():
            scores.update_clip(sequence, clip)
        return scores.compute()
