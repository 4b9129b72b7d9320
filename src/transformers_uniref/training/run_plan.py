"""What a run would do, before it does it: what is trained, how much memory that takes, steps and data."""

from __future__ import annotations

from typing import Any

from torch import nn

from .auxiliary_head import AuxiliaryMaskHead
from .config import TrainingConfig
from .data_feed import build_feed
from .model_factory import build_model, choose_tokenizer
from .optimisation import parameter_groups

ACTIVATIONS = (
    "not counted: they grow with batch, picture size and number of references; `gradient_checkpointing` keeps fewer, "
    "`accumulation` makes micro-batches smaller, and the log tells the memory in use from the first line on"
)
# Parts that are worth a line of their own.
_SPLIT = ("visual_encoder", "language_encoder")


def build_plan(config: TrainingConfig, processes: int = 1) -> dict[str, Any]:
    """The plan of a run, made by building its model and opening its data.

    Args:
        config: the run.
        processes: that it would be run on.

    Returns:
        plain values: `name`, `steps`, `processes`, `precision`, `accumulation`, `data`, `start` (lines about start
        weights), `modules` (`parameters` and `trainable` by name), `parameters`, `trainable`, `groups` (name, learning
        rate, weight decay, parameters), `schedule`, `memory` (bytes in one process: parameters, gradients, optimizer,
        average, total; and what is said of activations), `checkpoint_bytes` on the disk for each kept checkpoint.
    """
    feed = build_feed(config, 0, processes)
    tokenizer = choose_tokenizer(config, feed.vocabulary())
    start: list[str] = []
    model = build_model(config, len(tokenizer), start)
    helper = AuxiliaryMaskHead(model.config.d_model, config.auxiliary.levels)
    groups = parameter_groups(model, config.optimizer, [helper])
    modules = {name: _counts(module) for name, module in _parts(model)}
    modules["training-only head"] = _counts(helper)
    total = sum(part["parameters"] for part in modules.values())
    trainable = sum(part["trainable"] for part in modules.values())
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    buffers = sum(b.numel() * b.element_size() for b in model.buffers())
    trained = sum(p.numel() * p.element_size() for group in groups for p in group["params"])
    memory: dict[str, Any] = {
        "parameters": held + buffers,
        "gradients": trained,
        "optimizer": 2 * trained,
        "average": held,
    }
    memory["total"] = sum(memory.values())
    memory["activations"] = ACTIVATIONS
    optimizer = config.optimizer
    return {
        "name": config.name,
        "steps": config.steps,
        "processes": processes,
        "precision": config.mixed_precision,
        "accumulation": config.accumulation,
        "data": feed.summary,
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
        "checkpoint_bytes": 2 * held + 2 * trained,
    }


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
