"""Classification loss over queries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.box_formats import to_corners


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


@torch.no_grad()
def certainty_in_boxes(certainty: Tensor, boxes: Tensor) -> Tensor:
    """Mean of a map in boxes: how much a query that found no target counts as a mistake.

    Where people have marked some objects only, a query may have found one that they have not (compare Kim et al.,
    "Learning Open-World Object Proposals without Learning to Classify", 2022).

    Args:
        certainty: (h, w) in 0..1 over the image without its padding.
        boxes: (Q, 4) cxcywh, fractions of the image.

    Returns:
        (Q,).
    """
    height, width = certainty.shape
    sums = F.pad(certainty.float().cumsum(0).cumsum(1), (1, 0, 1, 0))
    corners = to_corners(boxes.float()).clamp(0, 1)
    last = boxes.new_tensor([width, height], dtype=torch.float) - 1
    low = torch.minimum((corners[:, :2] * (last + 1)).floor(), last).long()
    high = torch.maximum((corners[:, 2:] * (last + 1)).ceil().long(), low + 1)
    (x0, y0), (x1, y1) = low.T, high.T
    return (sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]) / ((x1 - x0) * (y1 - y0))
