"""Generalised referring segmentation, as a module of the package `evaluate`."""

from __future__ import annotations

import evaluate
import numpy as np

from transformers_uniref.metrics import GeneralizedReferringScores
from transformers_uniref.metrics.modules import metric_info

DESCRIPTION = "gIoU, cIoU, N-acc, T-acc and P@K of gRefCOCO by the definitions of ReLA, one sample a sentence."
INPUTS = """
        predictions: uint8 (H, W) masks, 0 = background, at the pictures' own sizes.
        references: uint8 (H, W) true masks.
        A reference without a pixel is a sentence without a target; a prediction without one says so.
"""


class GeneralizedReferring(evaluate.Metric):
    """See `GeneralizedReferringScores`."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info(DESCRIPTION, INPUTS)

    def _compute(self, predictions: list, references: list) -> dict:
        scores = GeneralizedReferringScores()
        for predicted, target in zip(predictions, references, strict=True):
            scores.update(np.asarray(predicted) > 0, np.asarray(target) > 0)
        return scores.compute()
