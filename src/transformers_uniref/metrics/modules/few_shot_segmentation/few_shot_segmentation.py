"""Few-shot segmentation, as a module of the package `evaluate`."""

from __future__ import annotations

import evaluate
import numpy as np

from transformers_uniref.metrics import FewShotScores
from transformers_uniref.metrics.modules import metric_info

DESCRIPTION = "mIoU by class, mIoU by picture and FB-IoU, one sample a query picture."
INPUTS = """
        predictions: uint8 (H, W) masks, 0 = background, at the pictures' own sizes.
        references: uint8 (H, W) true masks.
        categories: the class of each.
"""


class FewShot(evaluate.Metric):
    """See `FewShotScores`."""

    def _info(self) -> evaluate.MetricInfo:
        return metric_info(DESCRIPTION, INPUTS, "categories")

    def _compute(self, predictions: list, references: list, categories: list[str]) -> dict:
        scores = FewShotScores()
        for predicted, target, category in zip(predictions, references, categories, strict=True):
            scores.update(np.asarray(predicted) > 0, np.asarray(target) > 0, category)
        return scores.compute()
