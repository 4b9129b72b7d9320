"""Accumulators of the image tasks: referring, generalised referring, and few-shot segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .accumulator import Accumulator
from .few_shot import class_mean_iou, foreground_background_iou, image_mean_iou
from .generalized import generalized_measures
from .region import (
    PRECISION_THRESHOLDS,
    intersection_and_union,
    iou,
    mean_iou,
    overall_iou,
    precision_at,
    smoothed_ratio,
)


class ReferringScores(Accumulator):
    """oIoU, mIoU and P@K of RefCOCO, RefCOCO+ and RefCOCOg: one sample is one sentence.

    Args:
        thresholds: K of P@K.
        inclusive: whether an IoU that equals the threshold counts, see `precision_at`.
    """

    kind = "referring"

    def __init__(self, thresholds: Sequence[float] = PRECISION_THRESHOLDS, *, inclusive: bool = False) -> None:
        super().__init__()
        self.thresholds = tuple(float(threshold) for threshold in thresholds)
        self.inclusive = inclusive

    @property
    def options(self) -> dict[str, Any]:
        """See `Accumulator`."""
        return {"thresholds": list(self.thresholds), "inclusive": self.inclusive}

    def update(self, predicted: np.ndarray, target: np.ndarray, sample_id: str | None = None) -> ReferringScores:
        """Adds the answer to a sentence.

        Args:
            predicted: bool (H, W), at the picture's own size; without a pixel where nothing was found.
            target: bool (H, W).
            sample_id: a name by which a second count of the sentence is refused.

        Raises:
            TypeError, ValueError: see `intersection_and_union`; an id that came before.
        """
        intersection, union = intersection_and_union(predicted, target)
        self._add(sample_id, int(intersection), int(union))
        return self

    def compute(self) -> dict[str, Any]:
        """`oIoU`, `mIoU`, `P@0.5` ..., fractions, and `samples`."""
        intersections, unions = (np.array(column) for column in self._columns())
        ious = smoothed_ratio(intersections, unions)
        precision = precision_at(ious, self.thresholds, inclusive=self.inclusive)
        return {
            "oIoU": overall_iou(intersections, unions),
            "mIoU": mean_iou(ious),
            **{f"P@{threshold:g}": value for threshold, value in precision.items()},
            "samples": len(self),
        }


class GeneralizedReferringScores(Accumulator):
    """gIoU, cIoU, N-acc, T-acc and P@K of gRefCOCO, see `generalized_measures`: one sample is one sentence."""

    kind = "generalized-referring"

    def update(
        self,
        predicted: np.ndarray,
        target: np.ndarray,
        predicted_no_target: bool | None = None,
        sample_id: str | None = None,
    ) -> GeneralizedReferringScores:
        """Adds the answer to a sentence.

        Args:
            predicted: bool (H, W).
            target: bool (H, W), of all objects meant together; without a pixel where none is.
            predicted_no_target: whether the answer is that there is none; default: whether `predicted` has no pixel.
            sample_id: a name by which a second count of the sentence is refused.

        Raises:
            TypeError, ValueError: see `intersection_and_union`; an id that came before.
        """
        intersection, union = intersection_and_union(predicted, target)
        denied = not predicted.any() if predicted_no_target is None else bool(predicted_no_target)
        self._add(sample_id, int(intersection), int(union), not target.any(), denied)
        return self

    def compute(self) -> dict[str, Any]:
        """`gIoU`, `cIoU`, `N-acc`, `T-acc`, `P@0.7` ..., fractions or None, and `samples`."""
        return {**generalized_measures(*self._columns()), "samples": len(self)}


class PhotographScores(Accumulator):
    """Sentences about photographs, apart by how many objects they mean: one sample is one sentence.

    Whether the model finds what is meant, and whether it knows that something is meant at all, are measured apart:
    masks are compared whatever their score, and the gate is judged by itself. gIoU takes both together.
    """

    kind = "photographs"

    def update(
        self, predicted: np.ndarray, passed: bool, target: np.ndarray, objects: int, sample_id: str | None = None
    ) -> PhotographScores:
        """Adds the answer to a sentence.

        Args:
            predicted: bool (H, W), the answer whatever its score.
            passed: whether its score passes the gate.
            target: bool (H, W), of all objects meant together.
            objects: how many are meant.
            sample_id: a name by which a second count of the sentence is refused.

        Raises:
            TypeError, ValueError: see `intersection_and_union`; an id that came before.
        """
        intersection, union = intersection_and_union(predicted, target)
        self._add(sample_id, int(intersection), int(union), int(objects), bool(passed))
        return self

    def compute(self) -> dict[str, Any]:
        """Fractions, None where there is no such sentence; and `samples`.

        `mIoU` and `P@0.5` of sentences that mean one object, `mIoU_many` of those that mean several (their union),
        `N-acc`: of those that mean none, the share that is kept empty; `T-acc`: of the others, the share that is not.
        `gIoU` of `generalized_measures`, behind the gate.
        """
        intersections, unions, objects, passed = (np.array(column) for column in self._columns())
        ious = smoothed_ratio(intersections, unions)
        one, many, none = objects == 1, objects > 1, objects == 0
        gated = generalized_measures(
            intersections.tolist(), unions.tolist(), none.tolist(), (~passed.astype(bool)).tolist()
        )
        return {
            "mIoU": float(ious[one].mean()) if one.any() else None,
            "P@0.5": float((ious[one] > 0.5).mean()) if one.any() else None,
            "mIoU_many": float(ious[many].mean()) if many.any() else None,
            **{name: gated[name] for name in ("N-acc", "T-acc", "gIoU")},
            "samples": len(self),
        }


class FewShotScores(Accumulator):
    """mIoU by class, mIoU by picture and FB-IoU: one sample is one query picture."""

    kind = "few-shot"

    def update(
        self,
        predicted: np.ndarray,
        target: np.ndarray,
        category: str,
        *,
        void: np.ndarray | None = None,
        sample_id: str | None = None,
    ) -> FewShotScores:
        """Adds the answer for a query picture.

        Args:
            predicted: bool (H, W).
            target: bool (H, W).
            category: the class that was asked for.
            void: bool (H, W), pixels that are not judged (255 in PASCAL).
            sample_id: a name by which a second count of the picture is refused.

        Raises:
            TypeError, ValueError: see `iou`; an id that came before.
        """
        if void is not None:
            iou(predicted, target, void=void)  # checks the sizes
            predicted, target = predicted & ~void, target & ~void
        intersection, union = intersection_and_union(predicted, target)
        judged = target.size - (0 if void is None else int(np.count_nonzero(void)))
        self._add(sample_id, str(category), int(intersection), int(union), judged)
        return self

    def compute(self) -> dict[str, Any]:
        """`mIoU_class` (the field's standard), `mIoU_image` (as released), `FB-IoU`, `classes`, and `samples`."""
        categories, intersections, unions, pixels = self._columns()
        mean, by_class = class_mean_iou(intersections, unions, categories)
        return {
            "mIoU_class": mean,
            "mIoU_image": image_mean_iou(intersections, unions),
            "FB-IoU": foreground_background_iou(intersections, unions, pixels),
            "classes": {str(category): value for category, value in by_class.items()},
            "samples": len(self),
        }
