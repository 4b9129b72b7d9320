"""Classification loss over queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Element-wise sigmoid focal loss (RetinaNet, eq. 5 with the alpha balance).

    Args:
        logits: any shape.
        targets: same shape, values in {0, 1}.
        alpha: weight of the positive elements (1 - alpha for the negative ones).
        gamma: exponent of the modulating factor.

    Returns:
        Loss of every element, same shape, not reduced.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    distance = probability + targets - 2 * probability * targets  # 1 - p where the target is 1, p where it is 0
    balance = alpha * targets + (1 - alpha) * (1 - targets)
    return balance * distance**gamma * cross_entropy


def one_hot_classes(logits: Tensor, entry: Tensor, query: Tensor, labels: Tensor) -> Tensor:
    """Targets of the focal class loss: 1 at the class of a matched query, 0 everywhere else.

    Args:
        logits: (N, Q, C), gives shape, dtype and device.
        entry, query, labels: (M,) long; query `query[m]` of entry `entry[m]` has class `labels[m]`.
    """
    targets = torch.zeros_like(logits)
    targets[entry, query, labels] = 1.0
    return targets
