"""Losses between mask logits and binary masks, one value an instance.

All functions take logits (M, h, w) and targets (M, h, w) in {0, 1} and return (M,). Padding around the valid area of an
image is part of both, as in the released training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .class_losses import sigmoid_focal_loss


def focal_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Sigmoid focal loss (alpha 0.25, gamma 2), mean over pixels."""
    return sigmoid_focal_loss(logits, targets).flatten(1).mean(1)


def binary_cross_entropy_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross entropy, mean over pixels: what the paper's text states, where the released code has the focal
    loss."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").flatten(1).mean(1)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """1 - (2 * overlap + 1) / (sum of probabilities + sum of targets + 1), in [0, 1)."""
    probability, truth = logits.sigmoid().flatten(1), targets.flatten(1)
    return 1 - (2 * (probability * truth).sum(1) + 1) / (probability.sum(1) + truth.sum(1) + 1)


def scaled_dice_loss(logits: Tensor, targets: Tensor, scale: float = 1000.0, eps: float = 1e-6) -> Tensor:
    """1 - (2 * overlap + eps) / (sum of probabilities + sum of targets + eps), all sums divided by `scale`, in [0, 1]:
    the dice loss of UniRef-SAM, in effect unsmoothed."""
    probability, truth = logits.sigmoid().flatten(1), targets.flatten(1)
    overlap = (probability / scale * truth).sum(1)
    return 1 - (2 * overlap + eps) / ((probability / scale).sum(1) + (truth / scale).sum(1) + eps)


def sharpen(logits: Tensor) -> Tensor:
    """Logit of q = p^2 / (p^2 + (1 - p)^2), p = sigmoid(logits): object against background as two softmax channels.

    Up to rounding and clamping it is twice the logit. The detour over probabilities in single precision is deliberate:
    the released loss takes it, and for confident pixels its rounding is larger than 1e-4 of the loss.
    """
    probability = logits.sigmoid()
    channels = torch.stack([1 - probability, probability]).clamp(1e-7, 1 - 1e-7)
    background, foreground = (channels / (1 - channels)).log()
    return foreground - background


def hardest_pixels_loss(logits: Tensor, targets: Tensor, fraction: float = 0.4) -> Tensor:
    """Cross entropy of the sharpened masks, mean over the hardest `fraction` of the pixels (`loss_mask_cls`)."""
    pixels = F.binary_cross_entropy_with_logits(sharpen(logits), targets, reduction="none").flatten(1)
    count = max(int(fraction * pixels.shape[1]), 1)
    return pixels.topk(count, dim=1, sorted=False).values.mean(1)


def soft_iou_loss(logits: Tensor, targets: Tensor, eps: float = 1e-7) -> Tensor:
    """1 - soft IoU of the sharpened masks (`loss_mask_iou`), in [0, 1]."""
    probability, truth = sharpen(logits).sigmoid().flatten(1), targets.flatten(1)
    overlap = torch.minimum(probability, truth) + eps
    extent = torch.maximum(probability, truth) + eps
    return 1 - overlap.sum(1) / extent.sum(1)
