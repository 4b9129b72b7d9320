"""Deformable sampling of small maps as one matrix product: the fast path of training on a CPU.

Bilinear interpolation along an axis weighs position i by max(0, 1 - |x - i|). The weights of a point on a level are the
outer product of those of its two axes, and points only add up: so the samples of one query are a row of a (queries x
tokens) matrix. For some hundred tokens building that matrix and its gradient is several times cheaper than gathering
and scattering corners; its memory grows with queries * tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _TentWeights(torch.autograd.Function):
    """max(0, 1 - |x - i|) for i = 0 .. count - 1 as a new last dimension, with a cheap gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, count: int, dtype: torch.dtype) -> Tensor:
        distance = x[..., None] - torch.arange(count, dtype=x.dtype, device=x.device)
        weights = distance.abs().neg_().add_(1).clamp_(min=0)
        ctx.save_for_backward(distance.sign_().mul_(weights > 0).to(torch.int8))
        return weights.to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (side,) = ctx.saved_tensors
        return -(gradients[0] * side).sum(-1, dtype=torch.float32), None, None


def sample_densely(value: Tensor, spatial_shapes: list[tuple[int, int]], locations: Tensor, weights: Tensor) -> Tensor:
    """The same function of the same arguments as `deformable_attention.sample_values`.

    Args:
        value: (B, S, heads, d), the levels concatenated row by row.
        spatial_shapes: (H_l, W_l) of every level.
        locations: (B, Lq, heads, levels, points, 2), x and y relative to the level.
        weights: (B, Lq, heads, levels, points).

    Returns:
        (B, Lq, heads * d) in the dtype of `value`.
    """
    dtype = value.dtype
    matrices = []
    for level, (height, width) in enumerate(spatial_shapes):
        points = locations[:, :, :, level]
        columns = _TentWeights.apply(points[..., 0] * width - 0.5, width, dtype)
        rows = _TentWeights.apply(points[..., 1] * height - 0.5, height, dtype)
        rows = rows * weights[:, :, :, level, :, None].to(dtype)
        matrices.append(torch.matmul(rows.transpose(-1, -2), columns).flatten(-2))
    matrix = torch.cat(matrices, dim=-1)  # (B, Lq, heads, S)
    return torch.matmul(matrix.transpose(1, 2), value.transpose(1, 2)).transpose(1, 2).flatten(2)
