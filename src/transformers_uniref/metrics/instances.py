"""Objects one by one: which of an answer's are meant, and how well scores order right ones before wrong ones.

The definitions are those of COCO's code (`COCOeval`; Lin et al., "Microsoft COCO: Common Objects in Context", ECCV
2014), a sentence in the place of a picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.errors import UsageError
from .region import intersection_and_union

RECALLS = np.linspace(0, 1, 101)


def match_objects(
    predicted: np.ndarray, scores: Sequence[float], truth: np.ndarray, threshold: float = 0.5
) -> list[bool]:
    """Whether each object of an answer is one that was meant.

    The best score chooses first. Each takes, of the true objects that no one has taken, that with the highest IoU, if
    this is at least `threshold`.

    Args:
        predicted: bool (n, H, W).
        scores: (n,).
        truth: bool (m, H, W).
        threshold: of the IoU, 0..1.

    Raises:
        TypeError, ValueError: see `intersection_and_union`; another number of scores than objects.
    """
    if len(predicted) != len(scores):
        raise UsageError(f"`scores` must be as many as the objects, got {len(scores)} for {len(predicted)}")
    return match_overlaps(overlaps(predicted, truth), scores, threshold)


def overlaps(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """IoU (n, m) of masks (n, H, W) with masks (m, H, W), 0 where both are empty."""
    intersections, unions = intersection_and_union(predicted[:, None], truth[None])
    return np.asarray(intersections / np.maximum(unions, 1))


def match_overlaps(ious: np.ndarray, scores: Sequence[float], threshold: float) -> list[bool]:
    """`match_objects` of masks whose IoU (n, m) with the true objects is known."""
    ious, hits = ious.copy(), [False] * len(ious)
    for one in np.argsort(-np.asarray(scores, dtype=float), kind="stable"):
        if ious.shape[1] and ious[one].max() >= threshold:
            taken = int(ious[one].argmax())
            ious[:, taken] = -1.0
            hits[one] = True
    return hits


def average_precision(scores: Sequence[float], hits: Sequence[bool], positives: int) -> float | None:
    """AP: the mean over 101 recalls (0, .01, ..., 1) of the best precision at this recall or a higher one.

    Args:
        scores: (n,) of all objects of all answers.
        hits: (n,) whether each is a true one, see `match_objects`.
        positives: how many true objects there are.

    Returns:
        0..1; None without a true object.

    Raises:
        ValueError: another number of hits than scores.
    """
    if len(scores) != len(hits):
        raise UsageError(f"`hits` must be as many as `scores`, got {len(hits)} and {len(scores)}")
    if not positives:
        return None
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    right = np.cumsum(np.asarray(hits, dtype=bool)[order])
    precision = right / np.arange(1, len(right) + 1)
    # From the end: what precision is still reached at a higher recall.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(right / positives, RECALLS, side="left")
    return float(np.append(best, 0.0)[np.minimum(places, len(best))].mean())
