"""All objects that a reference means, or that a picture shows, out of a model's queries: none, one or many."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.score_gate import check_threshold, passes

SAME_OVERLAP = 0.5
"""Masks whose IoU is larger are the same object."""
COVERED = 0.8
"""A mask of which better ones cover a larger share is a part of them, or they are."""


@dataclass(frozen=True)
class ObjectChoice:
    """Which queries are objects beside the best one; of a model that was not tuned, the defaults.

    Attributes:
        threshold: the gate of the best score in pictures, 0..1; None for that of one target. Clips keep theirs.
        least_share: another object's score is at least this share of the best one's, 0..1.
        least_score: and at least this, 0..1.
        same_overlap: masks whose IoU is larger are the same object.
        covered: a mask of which better ones cover a larger share is a part of them, or they are.

    Raises:
        ValueError: a value is outside 0..1.
    """

    threshold: float | None = None
    least_share: float = 0.4
    least_score: float = 0.0
    same_overlap: float = SAME_OVERLAP
    covered: float = COVERED

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            check_threshold(value, name)


UNTUNED = ObjectChoice()


def choose_objects(
    masks: Tensor, scores: Tensor, threshold: float | None = None, choice: ObjectChoice = UNTUNED
) -> list[int]:
    """The objects among queries, best first; each once.

    The queries were trained to leave an object to one of them, and mostly do; where two have the same object, or one
    has a part of it or several together, the one with the better score stays.

    Args:
        masks: bool (Q, H, W).
        scores: (Q,) in 0..1.
        threshold: the gate of the best score; when it does not pass, nothing is there. That of `choice` does not act.
        choice: how near the others have to come, and when two are one.

    Returns:
        Numbers of queries; none with an empty mask.
    """
    if not len(scores) or not passes(float(scores.max()), threshold):
        return []
    best = float(scores.max())
    least = max(choice.least_share * best, min(choice.least_score, best))
    flat = masks.flatten(1)
    sizes = flat.sum(1)
    chosen: list[int] = []
    taken = torch.zeros_like(flat[0])
    for query in scores.argsort(descending=True, stable=True).tolist():
        if float(scores[query]) < least:
            break
        size = int(sizes[query])
        if not size or int((flat[query] & taken).sum()) > choice.covered * size:
            continue
        overlaps = [int((flat[query] & flat[other]).sum()) for other in chosen]
        # Mostly the same, or around one that is there already.
        if any(
            both > choice.same_overlap * (size + int(sizes[other]) - both) or both > choice.covered * int(sizes[other])
            for both, other in zip(overlaps, chosen, strict=True)
        ):
            continue
        chosen.append(query)
        taken |= flat[query]
    return chosen


MOST_OBJECTS = 20
"""Without a reference so many objects are told, as in the unsupervised task of DAVIS."""
DUPLICATE_OVERLAP = 0.7
"""There, masks whose IoU is larger are the same object: the usual limit of detectors, and of SAM's mask generation."""


def choose_everything(
    masks: Tensor, scores: Tensor, threshold: float | None = None, most: int = MOST_OBJECTS
) -> list[int]:
    """All objects among the queries of a picture that nobody refers to, best first; each once.

    One that lies in another is an object of its own here: a rider on a horse, a cup before a person.

    Args:
        masks, scores: see `choose_objects`.
        threshold: the gate of every score.
        most: so many of the best at most.

    Returns:
        Numbers of queries; none with an empty mask, and no two with an IoU above `DUPLICATE_OVERLAP`.
    """
    flat = masks.flatten(1)
    sizes, values = flat.sum(1).tolist(), scores.detach().tolist()
    chosen: list[int] = []
    for query in scores.argsort(descending=True, stable=True).tolist():
        if len(chosen) == most or not passes(values[query], threshold):
            break
        shared = [int((flat[query] & flat[other]).sum()) for other in chosen]
        if sizes[query] and not any(
            both > DUPLICATE_OVERLAP * (sizes[query] + sizes[other] - both)
            for both, other in zip(shared, chosen, strict=True)
        ):
            chosen.append(query)
    return chosen
