"""What a run would do, before it does it: what is trained, how much memory that takes, steps and data."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from ..core.errors import UsageError
from ..core.model_names import model_location
from .config.data import DatasetConfig
from .config.model import ModelOptions
from .config.training import TrainingConfig
from .data.feed import build_feed
from .data.rescaling import fit_to_machine
from .model.factory import build_model, choose_tokenizer
from .sharding.request import requested_sharding
from .step.auxiliary_head import build_heads
from .step.optimisation import parameter_groups

ACTIVATIONS = (
    "not counted: they grow with batch, picture size and number of references; `gradient_checkpointing` keeps fewer, "
    "`accumulation` makes micro-batches smaller, and the log tells the memory in use from the first line on"
)
GATHERED = "neither is what a pass gathers of the pieces of other processes, and gives back, module by module"
WEIGHTS = ("initial_weights", "backbone_weights", "text_weights")
# Parts that are worth a line of their own.
_SPLIT = ("visual_encoder", "language_encoder")


def build_plan(config: TrainingConfig, processes: int = 1) -> dict[str, Any]:
    """The plan of a run, made by building its model and opening its data.

    What a recipe leaves to its user and is not set yet, and weights that cannot be reached from here, do not stop it:
    they are listed as missing, data that are not set are described unopened, and the model's size is told without its
    start weights.

    Args:
        processes: that it would be run on.

    Returns:
        plain values: `name`, `steps`, `processes`, `precision`, `accumulation`, `division` (how the global batch is
        divided; empty without one), `missing` (lines), `data`, `start` (lines about start
        weights), `modules` (`parameters` and `trainable` by name), `parameters`, `trainable`, `groups` (name, learning
        rate, weight decay, parameters), `schedule`, `memory` (bytes in one process: parameters, gradients, optimizer,
        average, total; and what is said of activations), `checkpoint_bytes` on the disk for each kept checkpoint.
    """
    config, division = fit_to_machine(config, processes)
    missing = config.unset_options()
    words: Sequence[str] = ()
    if any(dataset.weight and not dataset.source for dataset in config.datasets):
        data = _unopened(config.datasets, config.mixture.batches)
    else:
        feed = build_feed(config, 0, processes, reads_words=not config.text_weights)
        data, words = feed.summary, feed.vocabulary()
    reached, unreachable = _without_unreachable(config)
    missing += unreachable
    if reached.takes_initial_model and not reached.initial_weights:
        raise UsageError(f"there is no plan without the model that is to be trained: {'; '.join(missing)}")
    start: list[str] = []
    # Without start weights nothing is computed from the values: sizes are known without holding them.
    values = any(getattr(reached, option) for option in WEIGHTS)
    with contextlib.nullcontext() if values else torch.device("meta"):
        model = build_model(reached, _vocabulary_size(reached, words), start)
    helper = build_heads(model.config.d_model, config.auxiliary, config.sampling.photographs)
    groups = parameter_groups(model, config.optimizer, [helper])
    modules = {name: _counts(module) for name, module in _parts(model)}
    modules["training-only head"] = _counts(helper)
    total = sum(part["parameters"] for part in modules.values())
    trainable = sum(part["trainable"] for part in modules.values())
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    buffers = sum(b.numel() * b.element_size() for b in model.buffers())
    trained = sum(p.numel() * p.element_size() for group in groups for p in group["params"])
    pieces = processes if requested_sharding(config.sharding) else 1
    memory: dict[str, Any] = {
        "parameters": -(-held // pieces) + buffers,
        "gradients": -(-trained // pieces),
        "optimizer": -(-2 * trained // pieces),
        "average": -(-sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad) // pieces),
    }
    memory["total"] = sum(memory.values())
    memory["activations"] = ACTIVATIONS if pieces == 1 else f"{ACTIVATIONS}; {GATHERED}"
    optimizer = config.optimizer
    return {
        "name": config.name,
        "steps": config.steps,
        "processes": processes,
        "precision": config.mixed_precision,
        "accumulation": config.accumulation,
        "division": division,
        "missing": missing,
        "data": data,
        "start": start,
        "modules": modules,
        "parameters": total,
        "trainable": trainable,
        "groups": [
            {
                "name": group["name"],
                "learning_rate": group["lr"],
                "weight_decay": group["weight_decay"],
                "parameters": sum(p.numel() for p in group["params"]),
            }
            for group in groups
        ],
        "schedule": {
            "kind": optimizer.schedule,
            "warmup_steps": optimizer.warmup_steps,
            "milestones": optimizer.milestones,
            "gradient_clip": optimizer.gradient_clip,
        },
        "memory": memory,
        "checkpoint_bytes": (trained if config.peft else held) + memory["average"] + 2 * trained,
    }


def _unopened(datasets: Sequence[DatasetConfig], batches: int) -> str:
    """The mixture as far as the configuration tells it."""
    total = sum(dataset.weight for dataset in datasets)
    parts = [
        f"{d.name} ({d.task}, {d.source or 'not set'}, batch {d.batch_size}, {100 * d.weight / total:.0f} %)"
        for d in datasets
        if d.weight
    ]
    return f"not opened; {batches} batch(es) a step of {', '.join(parts)}"


def _without_unreachable(config: ModelOptions) -> tuple[ModelOptions, list[str]]:
    """The model without the start weights that cannot be had here, and a line about each of these."""
    lines = []
    for option in WEIGHTS:
        source = getattr(config, option)
        if not source:
            continue
        try:
            PreTrainedConfig.get_config_dict(model_location(source))
        except OSError:
            lines.append(f"{option}: {source} is no folder here and cannot be had from the Hub at present")
            absent: Any = {option: ""}
            config = dataclasses.replace(config, **absent)
    return config, lines


def _vocabulary_size(config: ModelOptions, words: Sequence[str]) -> int:
    if words or config.text_weights or config.initial_weights or not config.model.get("use_language_references", True):
        return len(choose_tokenizer(config, words))
    return int(AutoConfig.for_model(config.text.config.get("model_type", "bert")).vocab_size)


def _parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    parts: list[tuple[str, nn.Module]] = []
    for name, module in model.named_children():
        if name in _SPLIT:
            parts += [(f"{name}.{inner}", part) for inner, part in module.named_children()]
        else:
            parts.append((name, module))
    return [(name, module) for name, module in parts if any(True for _ in module.parameters())]


def _counts(module: nn.Module) -> dict[str, int]:
    return {
        "parameters": sum(p.numel() for p in module.parameters()),
        "trainable": sum(p.numel() for p in module.parameters() if p.requires_grad),
    }


def plan_text(plan: dict[str, Any]) -> str:
    """The plan for a person, several lines."""
    lines = [
        f"{plan['name']}: {plan['steps']} steps on {plan['processes']} process(es), precision {plan['precision']}, "
        f"accumulation {plan['accumulation']}",
        f"data: {plan['data']}",
        *([plan["division"]] if plan["division"] else []),
        *(f"MISSING {line}" for line in plan["missing"]),
        *plan["start"],
        "",
        f"{'module':<34}{'parameters':>14}{'trainable':>14}",
    ]
    for name, counts in [*plan["modules"].items(), ("all", plan)]:
        lines.append(f"{name:<34}{counts['parameters']:>14,}{counts['trainable']:>14,}")
    lines += ["", f"{'group':<34}{'parameters':>14}{'rate':>14}{'decay':>10}"]
    for group in plan["groups"]:
        rate, decay = f"{group['learning_rate']:.2g}", f"{group['weight_decay']:g}"
        lines.append(f"{group['name']:<34}{group['parameters']:>14,}{rate:>14}{decay:>10}")
    schedule = plan["schedule"]
    text = f"schedule: {schedule['kind']}, warm-up {schedule['warmup_steps']} steps"
    if schedule["milestones"]:
        text += f", falls at {', '.join(map(str, schedule['milestones']))}"
    clip = schedule["gradient_clip"]
    lines += [f"{text}, gradient norm {f'clipped at {clip:g}' if clip else 'not clipped'}", ""]
    memory = plan["memory"]
    named = ("parameters", "gradients", "optimizer", "average")
    parts = ", ".join(f"{name} {_mebibytes(memory[name])}" for name in named)
    lines += [
        f"memory in each process: {_mebibytes(memory['total'])} ({parts})",
        f"activations: {memory['activations']}",
        f"disk: {_mebibytes(plan['checkpoint_bytes'])} a checkpoint",
    ]
    return "\n".join(lines)


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
