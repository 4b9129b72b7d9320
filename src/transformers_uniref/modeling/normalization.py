"""Norm layers of backbone and value encoder."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FrozenBatchNorm2d(nn.Module):
    """Batch norm whose statistics and affine parameters are constants (eps 1e-5)."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=1e-5)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group norm for layers that had batch norm: eight groups where the channels allow it."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


def replace_batch_norms(module: nn.Module, kind: str) -> None:
    """Replace every `nn.BatchNorm2d` below `module` by the norm `kind`: `"frozen"`, `"group"` or `"batch"` (keep)."""
    if kind == "batch":
        return
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            channels = child.num_features
            setattr(module, name, FrozenBatchNorm2d(channels) if kind == "frozen" else group_norm(channels))
        else:
            replace_batch_norms(child, kind)
