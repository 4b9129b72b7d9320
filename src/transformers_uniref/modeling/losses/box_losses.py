"""Boxes: intersection over union and the two regression losses."""

from __future__ import annotations

import torch
from torch import Tensor

# Only two boxes that are both without any area reach it: 0 / 0 becomes 0.
_SMALLEST_AREA = 1e-12


def box_area(boxes: Tensor) -> Tensor:
    """Area of (..., 4) xyxy boxes."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _intersection_union_hull(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    shared = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(0)
    spanned = (torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])).clamp(0)
    intersection = shared[..., 0] * shared[..., 1]
    return intersection, box_area(first) + box_area(second) - intersection, spanned[..., 0] * spanned[..., 1]


def pairwise_iou_and_giou(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of every pair, as the matching costs use them.

    GIoU = IoU - (hull - union) / (hull + 1e-7); the IoU itself has no epsilon.

    Args:
        first: (..., A, 4) xyxy.
        second: (..., B, 4) xyxy.

    Returns:
        Two tensors (..., A, B): IoU in [0, 1] and GIoU in [-1, 1].
    """
    intersection, union, hull = _intersection_union_hull(first.unsqueeze(-2), second.unsqueeze(-3))
    iou = intersection / union.clamp(min=_SMALLEST_AREA)
    return iou, iou - (hull - union) / (hull + 1e-7)


def giou_loss(predicted: Tensor, target: Tensor, eps: float = 1e-7) -> Tensor:
    """1 - GIoU of matched boxes, with `eps` in both denominators.

    Args:
        predicted, target: (M, 4) xyxy.

    Returns:
        (M,), in [0, 2].
    """
    intersection, union, hull = _intersection_union_hull(predicted, target)
    return 1 - intersection / (union + eps) + (hull - union) / (hull + eps)


def l1_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Sum of the four absolute differences of matched boxes (M, 4) -> (M,)."""
    return (predicted - target).abs().sum(-1)
