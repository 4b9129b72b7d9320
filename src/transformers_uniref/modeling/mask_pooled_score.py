"""A score that looks at what a query's mask covers: mask-pooled features, matched with the reference.

The released score is read from the query alone. In a small model a query knows well where its object ends and less well
what it is; the maps know that at every position. Pooling them under the mask, as OpenSeg does (Ghiasi et al., ECCV
2022), brings both together. Off in released configurations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_uniref import UniRefConfig

LEVELS = 3
"""Strides 8, 16 and 32; at 64 a mask is hardly more than a point."""


class MaskPooledScore(nn.Module):
    """What is added to the class logit of every query. A new module adds nothing."""

    def __init__(self, config: UniRefConfig):
        super().__init__()
        d, width = config.d_model, 2 * config.d_model
        # Three maps on three levels, the query, and six numbers of geometry.
        self.region = nn.Linear((3 * LEVELS + 1) * d + 6, width)
        self.condition = nn.Linear(d, 2 * width)
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, width)
        self.output = nn.Linear(width, 1)
        self.dropout = nn.Dropout(config.mask_pooled_dropout)

    def forward(
        self,
        queries: Tensor,
        boxes: Tensor,
        masks: Tensor,
        maps: Sequence[Sequence[Tensor]],
        valid: Sequence[Tensor],
        conditions: Sequence[Tensor],
    ) -> Tensor:
        """Compare regions with references.

        Args:
            queries, boxes, masks, maps, valid: see `pool`.
            conditions: (N, d) the pooled condition of every reference that acted; without one, regions are scored as
                objects of any kind.

        Returns:
            (N, Q) to be added to class logits.
        """
        return self.compare(self.pool(queries, boxes, masks, maps, valid), conditions)

    @staticmethod
    def pool(
        queries: Tensor, boxes: Tensor, masks: Tensor, maps: Sequence[Sequence[Tensor]], valid: Sequence[Tensor]
    ) -> Tensor:
        """What is known of every query's region, (N, Q, r).

        Args:
            queries: (N, Q, d).
            boxes: (N, Q, 4) cxcywh relative to the valid area.
            masks: (N, Q, H/4, W/4) mask logits; no gradient flows into them.
            maps: visual pyramid, fused pyramid and encoder memory, each (N, d, H/s, W/s) for s = 8, 16, 32.
            valid: for each level (N, H/s, W/s), True where it is image.
        """
        shares = masks.detach().sigmoid()
        inside = F.interpolate(valid[0][:, None].to(shares.dtype), size=shares.shape[-2:])
        area = (shares * inside).mean((2, 3))
        pooled = [F.layer_norm(queries, queries.shape[-1:])]
        for level in range(LEVELS):
            # A map of stride 2s has the rounded up half of the positions of one of stride s, as the backbone's have.
            shares = F.avg_pool2d(shares, 2, ceil_mode=True)
            weights = (shares * valid[level][:, None]).flatten(2)
            weights = weights / weights.sum(2, keepdim=True).clamp(min=1e-6)
            for pyramid in maps:
                values = pyramid[level].flatten(2).transpose(1, 2)
                pooled.append(F.layer_norm(weights.to(values.dtype) @ values, values.shape[-1:]))
        rank = (area[:, None, :] > area[:, :, None]).to(area.dtype).mean(2)
        geometry = torch.stack([(area + 1e-4).log() / 3, rank], dim=-1)
        return torch.cat([*pooled, (2 * boxes - 1).to(queries.dtype), geometry.to(queries.dtype)], dim=-1)

    def compare(self, regions: Tensor, conditions: Sequence[Tensor]) -> Tensor:
        """(N, Q) of regions (N, Q, r), see `pool`, and the condition (N, d) of every reference."""
        hidden = self.region(self.dropout(regions))
        if conditions:
            scale, shift = torch.stack([self.condition(one) for one in conditions]).sum(0)[:, None].chunk(2, dim=-1)
            hidden = hidden * (1 + scale) + shift
        hidden = F.gelu(self.norm(hidden))
        return self.output(F.gelu(self.hidden(self.dropout(hidden))))[..., 0]
