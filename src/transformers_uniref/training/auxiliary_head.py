"""A training-only linear head that asks the fused features for the target mask.

It makes the reference's influence worth something before the transformer has learned to find objects. It lives outside
the model, so that it is in no saved folder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AuxiliaryMaskHead(nn.Module):
    """One logit a position from the fused features of the finest `levels` levels (one linear map a level)."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(width, 1, 1) for _ in range(levels)])

    def forward(self, fused_features: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Binary cross entropy + dice, mean over entries and levels.

        Args:
            fused_features: levels of (N, width, h, w), finest first.
            targets: (N, H, W) in [0, 1], all zero where the target is absent; averaged down to each level.

        Returns:
            scalar loss (float32).
        """
        total = targets.new_zeros((), dtype=torch.float32)
        for head, features in zip(self.heads, fused_features, strict=False):
            logits = head(features)[:, 0].float().flatten(1)
            target = F.adaptive_avg_pool2d(targets[:, None].float(), (features.shape[-2], features.shape[-1])).flatten(
                1
            )
            entropy = F.binary_cross_entropy_with_logits(logits, target)
            probability = logits.sigmoid()
            overlap = (2 * (probability * target).sum(1) + 1) / (probability.sum(1) + target.sum(1) + 1)
            total = total + entropy + (1 - overlap).mean()
        return total / len(self.heads)
