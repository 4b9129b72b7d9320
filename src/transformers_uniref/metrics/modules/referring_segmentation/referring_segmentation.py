"""Referring segmentation, as a module of the package `evaluate`."""

from __future__ import annotations

import evaluate
import numpy as np

from transformers_uniref.metrics import ReferringScores
from transformers_uniref.metrics.modules import metric_info

DESCRIPTION = "oIoU, mIoU and P@K of RefCOCO, RefCOCO+ and RefCOCOg, one sample a sentence."
INPUTS = """
        predictions: uint8 (H, W) masks, 0 = background, at the pictures' own sizes.
        references: uint8 (H, W) true masks.
        inclusive: count an IoU that equals the threshold (default: False, as in UniRef++).
"""


class Referring(evaluate.Metric):
    """See `ReferringScores`."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info(DESCRIPTION, INPUTS)

    def _compute(self, predictions: list, references: list, inclusive: bool = False) -> dict:
        scores = ReferringScores(inclusive=inclusive)
        for predicted, target in zip(predictions, references, strict=True):
            scores.update(np.asarray(predicted) > 0, np.asarray(target) > 0)
        return scores.compute()
