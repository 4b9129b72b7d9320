"""Generalised referring segmentation: sentences that mean one object, several, or none.

The definitions are those of the code of Liu et al., "GRES: Generalized Referring Expression Segmentation", CVPR 2023
(ReLA).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.errors import UsageError

GENERALIZED_THRESHOLDS = (0.7, 0.8, 0.9)


def generalized_measures(
    intersections: Sequence[int],
    unions: Sequence[int],
    no_target: Sequence[bool],
    predicted_no_target: Sequence[bool],
    thresholds: Sequence[float] = GENERALIZED_THRESHOLDS,
) -> dict[str, float | None]:
    """gIoU, cIoU, N-acc, T-acc and P@K.

    gIoU is the mean over all sentences of their IoU. A sentence without a target has IoU 1 if none was predicted, else
    0; a sentence with a target has IoU 0 if none was predicted. cIoU is all intersections over all unions; a sentence
    without a target adds what was wrongly predicted to the unions, one whose target was denied adds its union and no
    intersection. P@K is the share of the sentences with a target whose IoU is at least K (`>=`).

    Args:
        intersections: (n,) pixels of the predicted and the true mask.
        unions: (n,) pixels.
        no_target: (n,) whether the sentence means nothing.
        predicted_no_target: (n,) whether that was predicted.
        thresholds: K.

    Returns:
        Fractions. None where there is no sentence, or no pixel, to measure.

    Raises:
        ValueError: different lengths, or no sentence.
    """
    lengths = [len(values) for values in (intersections, unions, no_target, predicted_no_target)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise UsageError(
            "`intersections`, `unions`, `no_target` and `predicted_no_target` must be equally many and at least one, "
            f"got {', '.join(map(str, lengths))}"
        )
    inside, outside = np.array(intersections, dtype=np.int64), np.array(unions, dtype=np.int64)
    nothing, denied = np.array(no_target, dtype=bool), np.array(predicted_no_target, dtype=bool)
    inside = np.where(denied | nothing, 0, inside)
    outside = np.where(denied & nothing, 0, outside)
    ious = np.where(nothing, denied, inside / np.maximum(outside, 1))
    measures: dict[str, float | None] = {
        "gIoU": float(ious.mean()),
        "cIoU": float(inside.sum() / outside.sum()) if outside.any() else None,
        "N-acc": _share(denied[nothing]),
        "T-acc": _share(~denied[~nothing]),
    }
    return measures | {f"P@{threshold:g}": _share(ious[~nothing] >= threshold) for threshold in thresholds}


def _share(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None
