"""Choosing what a model counts as an object with `targets="all"`, on scenes that were held out of its training.

A model is asked once. Which of its queries are objects is decided by thresholds on scores that are in descending order,
so that every choice keeps the first few of one list: all of a grid are compared without asking again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch

from ..core.errors import UsageError
from ..inference.pictures import compute, prepare
from ..metrics.region import iou
from ..modeling.object_choice import ObjectChoice
from ..modeling.outputs import UniRefModelOutput
from ..worlds.scenes import Reference

Scene = tuple[np.ndarray, np.ndarray, Sequence[Reference]]
"""A picture, uint8 (H, W, 3), the masks of its objects, bool (n, H, W), and sentences that mean some of them."""

WANTED = {"gIoU": 0.75, "N-acc": 0.85, "T-acc": 0.9, "exact_count": 0.65, "one_as_one": 0.85}
"""What is wanted of answers with all objects; see `metrics.AllTargetsScores`."""

THRESHOLDS = tuple(np.arange(0.04, 0.62, 0.02).round(2).tolist())
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
SCORES = (0.02, 0.03, 0.05, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
OVERLAPS = ((0.5, 0.8), (0.3, 0.8), (0.7, 0.9))
"""Values that are tried for `same_overlap` and `covered` together."""


@dataclass(frozen=True)
class RankedAnswers:
    """What a model has to say about n sentences, its objects best first and each once, however unlikely.

    Attributes:
        scores: (n, k) of the objects; -1 where there are no more.
        best: (n,) the best score of all queries.
        ious: (n, k + 1) IoU of the union of the first 0, 1, ... objects with what is meant; without anything meant 1
            for no object and 0 for some.
        meant: (n,) how many objects are meant.
    """

    scores: np.ndarray
    best: np.ndarray
    ious: np.ndarray
    meant: np.ndarray

    def measure(self, choice: ObjectChoice) -> dict[str, float]:
        """The measures of `WANTED` if this decides; `choice.threshold` None is no gate. NaN: no such sentence."""
        least = np.maximum(choice.least_share * self.best, np.minimum(choice.least_score, self.best))
        given = (self.scores >= least[:, None]).sum(1) * (self.best > (choice.threshold or -1))
        one = self.meant == 1
        return {
            "gIoU": _mean(self.ious[np.arange(len(given)), given]),
            "N-acc": _mean(given[self.meant == 0] == 0),
            "T-acc": _mean(given[self.meant > 0] > 0),
            "exact_count": _mean(given == self.meant),
            "one_as_one": _mean(given[one] == 1),
        }


def rank_objects(
    model: Any, processor: Any, scenes: Iterable[Scene], overlaps: Sequence[tuple[float, float]] = OVERLAPS
) -> dict[tuple[float, float], RankedAnswers]:
    """Asks a model about scenes: its answers by the `same_overlap` and `covered` that say which queries are one object.

    Args:
        model, processor: in evaluation mode.
        scenes: with sentences; those without are passed over.
        overlaps: what is tried.

    Raises:
        ValueError: there is no sentence.
    """
    found: dict[tuple[float, float], list[tuple[list[float], float, list[float], int]]] = {one: [] for one in overlaps}
    for image, masks, references in scenes:
        if not references:
            continue
        question = prepare(processor, image, text=[reference.text for reference in references])
        inputs = {name: value.to(model.device) for name, value in question.inputs.items()}
        with torch.inference_mode():
            answered: Mapping[str, Any] = compute(model, [inputs], "all")[0]
        output = UniRefModelOutput(**answered)
        for same, covered in overlaps:
            results = processor.post_process_referring_segmentation(
                output, question.sizes, targets="all", choice=ObjectChoice(None, 0.0, SCORES[0], same, covered)
            )
            for reference, result in zip(references, results, strict=True):
                meant = masks[list(reference.numbers)]
                truth, union = np.asarray(meant.any(0)), np.zeros(image.shape[:2], dtype=bool)
                ious = [float(not truth.any())]
                for one in result["objects"]:
                    union = union | one["segmentation"].cpu().numpy()
                    ious.append(float(iou(union, truth)))
                scores = [one["score"] for one in result["objects"]]
                found[same, covered].append((scores, result["score"], ious, int(meant.any((1, 2)).sum())))
    return {limits: _together(answers) for limits, answers in found.items()}


def tune_all_targets(
    sets: Mapping[str, Mapping[tuple[float, float], RankedAnswers]], wanted: Mapping[str, float] = WANTED
) -> tuple[ObjectChoice, dict[str, dict[str, float]]]:
    """The choice that is nearest to what is wanted, over several sets of scenes that count alike.

    Nearest is the least sum of what measures fall short by; among equals the largest gIoU and exact count.

    Args:
        sets: of `rank_objects`, by name.
        wanted: by measure.

    Returns:
        The choice, all of it set, and its measures on each set.
    """
    best: tuple[tuple[float, float], ObjectChoice] | None = None
    for overlaps in next(iter(sets.values())):
        base = ObjectChoice(None, 0.0, 0.0, *overlaps)
        for threshold, share, score in product(THRESHOLDS, SHARES, SCORES):
            choice = replace(base, threshold=threshold, least_share=share, least_score=score)
            measured = [answers[overlaps].measure(choice) for answers in sets.values()]
            short = sum(max(0.0, wanted[name] - of[name]) for of in measured for name in wanted)
            value = (-round(short, 4), sum(of["gIoU"] + of["exact_count"] for of in measured))
            if best is None or value > best[0]:
                best = (value, choice)
    assert best is not None
    return best[1], {name: of[best[1].same_overlap, best[1].covered].measure(best[1]) for name, of in sets.items()}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _together(answers: Sequence[tuple[list[float], float, list[float], int]]) -> RankedAnswers:
    if not answers:
        raise UsageError("`scenes` must have a sentence, got none")
    most = max(len(scores) for scores, *_ in answers)
    scores, ious = np.full((len(answers), most), -1.0), np.zeros((len(answers), most + 1))
    for row, (own, _, of_unions, _) in enumerate(answers):
        scores[row, : len(own)] = own
        ious[row, : len(of_unions)] = of_unions
    best, meant = (np.array([answer[place] for answer in answers]) for place in (1, 3))
    return RankedAnswers(scores, best, ious, meant)
