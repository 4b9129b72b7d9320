"""Measures of answers with all objects that a sentence means: none, one or many."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from .accumulator import Accumulator
from .generalized import generalized_measures
from .instances import average_precision, match_objects
from .region import intersection_and_union


class AllTargetsScores(Accumulator):
    """The union of an answer's objects, each of them, and their number: one sample is one sentence."""

    kind = "all-targets"

    def update(
        self, predicted: np.ndarray, scores: Sequence[float], truth: np.ndarray, sample_id: str | None = None
    ) -> AllTargetsScores:
        """Adds the answer to a sentence.

        Args:
            predicted: bool (n, H, W), its objects; none says that nothing is meant.
            scores: (n,).
            truth: bool (m, H, W), the objects that are meant; m is 0 where nothing is.
            sample_id: a name by which a second count of the sentence is refused.

        Raises:
            TypeError, ValueError: see `match_objects`; an id that came before.
        """
        hits = match_objects(predicted, scores, truth)
        united = np.logical_or.reduce(predicted, axis=0), np.logical_or.reduce(truth, axis=0)
        intersection, union = intersection_and_union(*united)
        values = [float(score) for score in scores]
        self._add(sample_id, int(intersection), int(union), len(truth), len(predicted), values, list(map(bool, hits)))
        return self

    def compute(self) -> dict[str, Any]:
        """Fractions, None where there is nothing to measure; `count_error` in objects; and `samples`.

        - `gIoU`, `cIoU`, `N-acc`, `T-acc` of the unions: see `generalized_measures`.
        - `mIoU_many`: mean IoU of the unions where several objects are meant; 0 for no answer.
        - `AP@0.5` of single objects at IoU .5, all sentences together: see `average_precision`.
        - `exact_count`: share of sentences answered by as many objects as are meant.
        - `count_error`: mean absolute difference of both numbers.
        - `one_as_one`: of the sentences that mean one object, the share answered by exactly one, whichever.
        """
        intersections, unions, meant, found, scores, hits = self._columns()
        true, given = np.array(meant), np.array(found)
        of_unions = generalized_measures(intersections, unions, (true == 0).tolist(), (given == 0).tolist())
        ious = np.array(intersections) / np.maximum(unions, 1)
        one = true == 1
        return {
            **{name: of_unions[name] for name in ("gIoU", "cIoU", "N-acc", "T-acc")},
            "mIoU_many": float(ious[true > 1].mean()) if (true > 1).any() else None,
            "AP@0.5": average_precision(list(chain(*scores)), list(chain(*hits)), int(true.sum())),
            "exact_count": float((true == given).mean()),
            "count_error": float(np.abs(true - given).mean()),
            "one_as_one": float((given[one] == 1).mean()) if one.any() else None,
            "samples": len(self),
        }
