"""Optimiser and learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from .config import OptimizerConfig


def parameter_groups(modules: Iterable[nn.Module], weight_decay: float) -> list[dict]:
    """Two groups: weights of linear maps and convolutions decay; norms, biases and embeddings do not."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for root in modules:
        for module in root.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if not parameter.requires_grad:
                    continue
                is_matrix = parameter.ndim >= 2 and name != "bias" and not isinstance(module, nn.Embedding)
                (decayed if is_matrix else free).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def build_optimizer(config: OptimizerConfig, modules: Iterable[nn.Module]) -> AdamW:
    """AdamW over all trainable parameters of `modules`."""
    groups = parameter_groups(modules, config.weight_decay)
    return AdamW(groups, lr=config.learning_rate, betas=(config.betas[0], config.betas[1]), fused=True)


def learning_rate_factor(step: int, steps: int, warmup: int, final_share: float) -> float:
    """Linear warm-up over `warmup` steps, then a cosine from 1 to `final_share` at `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return final_share + (1 - final_share) * 0.5 * (1 + math.cos(math.pi * progress))


def build_scheduler(config: OptimizerConfig, optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """The schedule of `learning_rate_factor`, one call of `step()` an optimiser step."""
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, config.warmup_steps, config.final_share))
