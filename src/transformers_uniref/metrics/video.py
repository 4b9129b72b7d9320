"""J, F and J&F of an object in a clip, by the rules of DAVIS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import UsageError
from .boundary import boundary_measure
from .region import check_masks, iou

FRAME_RULES = ("all", "inner")
_DECAY_BINS = 4


@dataclass(frozen=True)
class Statistics:
    """What DAVIS reports of a measure over the frames of an object.

    Attributes:
        mean: mean over frames.
        recall: share of frames above 0.5.
        decay: mean of the first quarter minus mean of the last: what is lost on the way.
    """

    mean: float
    recall: float
    decay: float


@dataclass(frozen=True)
class SequenceScores:
    """An object's region similarity `j` and contour accuracy `f`."""

    j: Statistics
    f: Statistics

    @property
    def jf(self) -> float:
        """J&F: the mean of both means."""
        return (self.j.mean + self.f.mean) / 2


def evaluated_frames(count: int, rule: str = "inner") -> slice:
    """Which of a clip's frames count.

    Args:
        count: frames of the clip.
        rule: "inner" leaves out the first frame, in which the mask is given, and the last (DAVIS); "all" none.

    Raises:
        ValueError: an unknown rule, or a clip of which no frame is left.
    """
    if rule not in FRAME_RULES:
        raise UsageError(f"`rule` must be one of {', '.join(FRAME_RULES)}, got {rule!r}")
    needed = 1 if rule == "all" else 3
    if count < needed:
        raise UsageError(f"`count` must be at least {needed} frames with the rule {rule!r}, got {count}")
    return slice(0, count) if rule == "all" else slice(1, count - 1)


def frame_scores(predicted: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J and F of each frame.

    A frame without the object counts 1 where nothing is predicted and 0 where something is.

    Args:
        predicted: bool (T, H, W), one object's masks.
        target: bool (T, H, W).

    Returns:
        float (T,) and float (T,), in 0..1.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: different shapes, or not three axes.
    """
    check_masks(predicted, target)
    if predicted.ndim != 3 or predicted.shape != target.shape:
        raise UsageError(
            f"`predicted` and `target` must have one shape (frames, height, width), got {predicted.shape} and "
            f"{target.shape}"
        )
    outlines = [boundary_measure(found, wanted) for found, wanted in zip(predicted, target, strict=True)]
    return iou(predicted, target), np.array(outlines, dtype=float)


def sequence_statistics(values: np.ndarray) -> Statistics:
    """Mean, recall and decay of one measure.

    Decay compares quarters as the official code cuts them: the n frames, numbered from 1, are cut at the rounded
    points of five equally spaced ones from 1 to n, and neighbouring quarters share the frame of their cut. (It also
    counts frames in 8 bits, which no clip of DAVIS is long enough to show; that is not repeated here.)

    Args:
        values: (n,) at least one, in 0..1.

    Raises:
        ValueError: no value.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or len(values) == 0:
        raise UsageError(f"`values` must be a list of at least one number, got shape {values.shape}")
    # The small addend decides halves upwards.
    cuts = np.round(np.linspace(1, len(values), _DECAY_BINS + 1) + 1e-10).astype(int) - 1
    first, last = values[cuts[0] : cuts[1] + 1], values[cuts[-2] : cuts[-1] + 1]
    return Statistics(float(values.mean()), float((values > 0.5).mean()), float(first.mean() - last.mean()))


def score_sequence(predicted: np.ndarray, target: np.ndarray, rule: str = "inner") -> SequenceScores:
    """Scores of one object in one clip; a benchmark's numbers are means of these over all objects of all clips.

    Args:
        predicted: bool (T, H, W).
        target: bool (T, H, W).
        rule: see `evaluated_frames`.

    Raises:
        TypeError, ValueError: see `frame_scores` and `evaluated_frames`.
    """
    chosen = evaluated_frames(len(target), rule)
    j, f = frame_scores(predicted[chosen], target[chosen])
    return SequenceScores(sequence_statistics(j), sequence_statistics(f))
