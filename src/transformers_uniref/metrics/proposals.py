"""How many of a picture's objects a few masks hold that nobody asked for: average recall, as COCO's code has it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from ..core.errors import UsageError
from .accumulator import Accumulator
from .instances import average_precision, match_overlaps, overlaps

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Of COCO's average recall: .50, .55, ..., .95."""
COUNTS = (5, 10, 20)


class ProposalScores(Accumulator):
    """The objects of pictures that were looked for without any reference; one sample is one picture."""

    kind = "proposals"

    def update(
        self, predicted: np.ndarray, scores: Sequence[float], truth: np.ndarray, sample_id: str | None = None
    ) -> ProposalScores:
        """Adds the answer to a picture.

        Args:
            predicted: bool (n, H, W), what was found.
            scores: (n,).
            truth: bool (m, H, W), the objects of the picture.
            sample_id: a name by which a second count of the picture is refused.

        Raises:
            TypeError, ValueError: see `match_objects`; an id that came before.
        """
        if len(predicted) != len(scores):
            raise UsageError(f"`scores` must be as many as the objects, got {len(scores)} for {len(predicted)}")
        order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")[: max(COUNTS)]
        ious, best = overlaps(predicted[order], truth), [float(scores[one]) for one in order]
        found = [[sum(match_overlaps(ious[:count], best[:count], threshold)) for threshold in IOUS] for count in COUNTS]
        hits = match_overlaps(ious, best, IOUS[0])
        self._add(sample_id, len(truth), found, best, hits)
        return self

    def compute(self) -> dict[str, Any]:
        """Fractions, None where no picture has an object; and `samples`.

        - `AR@5`, `AR@10`, `AR@20`: of the objects of all pictures, the share that the best so many masks of its picture
          meet; the mean over IoU .50, .55, ..., .95.
        - `R@0.5`: the share that 20 masks meet with an IoU of at least .5.
        - `AP@0.5`: of these masks at IoU .5, all pictures together: see `average_precision`. Where people marked some
          objects only, a mask of another counts as wrong.
        """
        objects, found, scores, hits = self._columns()
        total = sum(objects)
        recalls = np.array(found).sum(0) / total if total else None
        return {
            **{f"AR@{n}": None if recalls is None else float(recalls[k].mean()) for k, n in enumerate(COUNTS)},
            "R@0.5": None if recalls is None else float(recalls[-1, 0]),
            "AP@0.5": average_precision(list(chain(*scores)), list(chain(*hits)), total),
            "samples": len(self),
        }
