"""Loss of scores that are to say how well a query's mask fits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_IOU, FULL_IOU = 0.3, 0.8
"""A mask below the first fits nothing, one above the second is right."""


def mask_ious(masks: Tensor, targets: Tensor) -> Tensor:
    """IoU of mask logits (Q, h, w) with binary masks (t, h, w): (Q, t), 0 where both are empty."""
    predicted = (masks.flatten(1) > 0).float()
    truth = targets.flatten(1).float()
    overlap = predicted @ truth.T
    union = predicted.sum(1)[:, None] + truth.sum(1)[None] - overlap
    return overlap / union.clamp(min=1)


def fit_of_masks(masks: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """How well each query's mask fits the best of its entry's targets.

    Args:
        masks: (N, Q, h, w) logits.
        targets: N tensors (t, h, w) of 0 and 1; t may be 0.

    Returns:
        (N, Q) in [0, 1], rising linearly from `LEAST_IOU` to `FULL_IOU`; 0 without a target.
    """
    fits = []
    for entry, truth in zip(masks, targets, strict=True):
        best = mask_ious(entry, truth).amax(1) if len(truth) else entry.new_zeros(entry.shape[0])
        fits.append(((best - LEAST_IOU) / (FULL_IOU - LEAST_IOU)).clamp(0, 1))
    return torch.stack(fits)


def fit_loss(logits: Tensor, fit: Tensor, certainty: Tensor | None = None) -> Tensor:
    """Cross entropy of each query's score with its fit, and of the order among the queries of an entry.

    Args:
        logits: (N, Q) scores before the sigmoid.
        fit: (N, Q) of `fit_of_masks`.
        certainty: (N, Q) in 0..1, what an unfitting query counts in the cross entropy; the order holds all the same:
            what people have marked is what stands out.

    Returns:
        Scalar: the mean over queries, plus half the mean over entries that have a fitting query.
    """
    weight = None if certainty is None else certainty.where(fit == 0, torch.ones_like(fit))
    loss = F.binary_cross_entropy_with_logits(logits, fit, weight)
    found = fit.amax(1) > 0
    share = fit.square() / fit.square().sum(1, keepdim=True).clamp(min=1e-6)
    order = -(share * logits.log_softmax(1)).sum(1)
    return loss + 0.5 * (order * found).sum() / found.sum().clamp(min=1)
