"""Optimiser, its parameter groups, and the learning-rate schedule."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from ...core.errors import UsageError
from ..config.loop import OptimizerConfig, ParameterGroupConfig
from ..model.freezing import first_names


def parameter_groups(model: nn.Module, config: OptimizerConfig, others: Iterable[nn.Module] = ()) -> list[dict]:
    """The trainable parameters by learning rate and weight decay.

    Args:
        model: `config.groups` are patterns of its parameters' names.
        config: rates and decay. With `decay: matrices`, norms, biases and embeddings do not decay.
        others: training-only modules, at the base rate.

    Returns:
        groups for a torch optimiser: `params`, `lr`, `weight_decay`, and `name` for the log.

    Raises:
        ValueError: the pattern of a group fits no parameter, frozen ones included.
    """
    by_setting: dict[tuple[str, float, float], list[nn.Parameter]] = {}
    fitted: set[str] = set()
    base = ParameterGroupConfig("base")
    for root in (model, *others):
        for prefix, module in root.named_modules():
            for name, parameter in module.named_parameters(recurse=False):
                whole, groups = f"{prefix}.{name}".lstrip("."), config.groups if root is model else []
                own = next((group for group in groups if re.search(group.pattern, whole)), base)
                if own is not base:
                    fitted.add(own.pattern)
                if not parameter.requires_grad:
                    continue
                decay = config.weight_decay if own.weight_decay < 0 else own.weight_decay
                is_matrix = parameter.ndim >= 2 and name != "bias" and not isinstance(module, nn.Embedding)
                setting = (
                    own.pattern,
                    own.learning_rate or own.factor * config.learning_rate,
                    decay if is_matrix or config.decay == "all" else 0.0,
                )
                by_setting.setdefault(setting, []).append(parameter)
    for group in config.groups:
        if group.pattern not in fitted:
            raise UsageError(
                f"optimizer.groups: {group.pattern!r} is found in no parameter's name, or an earlier group takes them "
                f"all; {first_names(model)}"
            )
    # Decaying parameters come first, the base group before the others: the order is part of a checkpoint.
    names = ["base", *(group.pattern for group in config.groups)]
    ordered = sorted(by_setting.items(), key=lambda item: (names.index(item[0][0]), -item[0][2]))
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay, "name": name}
        for (name, rate, decay), parameters in ordered
    ]


def build_optimizer(config: OptimizerConfig, model: nn.Module, others: Iterable[nn.Module] = ()) -> AdamW:
    """AdamW over all trainable parameters of `model` and the training-only `others`."""
    groups = parameter_groups(model, config, others)
    if not groups:
        raise UsageError("frozen: nothing is left to train")
    betas = (config.betas[0], config.betas[1])
    return AdamW(groups, lr=config.learning_rate, betas=betas, eps=config.eps, fused=True)


def learning_rate_factor(step: int, steps: int, config: OptimizerConfig) -> float:
    """Share of the full rate at `step` (0-based): linear warm-up, then the schedule.

    The cosine falls from 1 after the warm-up to `final_share` at `steps`; milestones count from step 0.
    """
    if step < config.warmup_steps:
        return (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "step":
        return config.milestone_factor ** sum(step >= milestone for milestone in config.milestones)
    progress = min(1.0, (step - config.warmup_steps) / max(1, steps - config.warmup_steps))
    return config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * progress))


def build_scheduler(config: OptimizerConfig, optimizer: torch.optim.Optimizer, steps: int) -> LambdaLR:
    """The schedule of `learning_rate_factor`, one call of `step()` an optimiser step."""
    return LambdaLR(optimizer, lambda step: learning_rate_factor(step, steps, config))


def restore_optimizer_(
    optimizer: torch.optim.Optimizer, scheduler: LambdaLR, state: dict[str, Any], schedule: dict[str, Any]
) -> None:
    """Load moments and step counts, but keep the rates and decays that `optimizer` was built with.

    Both are equal when the configuration is; after a forced change the new one holds.

    Raises:
        ValueError: the groups of parameters are others.
    """
    kept = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    base_rates = list(scheduler.base_lrs)
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    given = [len(group["params"]) for group in state["param_groups"]]
    if sizes != given:
        raise UsageError(
            f"resume: the optimiser's groups have {sizes} parameters now and had {given} then; what is trained, "
            "`optimizer.groups` and `frozen` cannot change within a run"
        )
    optimizer.load_state_dict(state)
    scheduler.load_state_dict(schedule)
    scheduler.base_lrs = base_rates
    for group, own in zip(optimizer.param_groups, kept, strict=True):
        group |= own
        factor = scheduler.lr_lambdas[0](scheduler.last_epoch)
        group["lr"] = group["initial_lr"] * factor
    scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]
