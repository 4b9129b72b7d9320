"""The Accelerator of a run, and the trackers (TensorBoard, Weights & Biases, Trackio) that it reports to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..core.optional import require
from .config.loop import flattened
from .config.training import TrainingConfig
from .sharding.request import hidden_from_accelerate, refuse_sharding

PROJECT = "transformers-uniref"


def build_accelerator(config: TrainingConfig, output: str | Path) -> Accelerator:
    """Devices, precision, processes and trackers of a run.

    Args:
        config: the run.
        output: its folder; trackers that keep files keep them in `output/trackers`.

    Raises:
        MissingExtraError: a tracker of `config.trackers` is not installed.
        ValueError: this device has no such precision, or the processes that were launched do not see each other.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    # Without a device Accelerate joins the processes only when it is told that it is for the CPU.
    only_cpu = launched > 1 and not torch.accelerator.is_available()
    for tracker in config.trackers:
        # Accelerate drops trackers that are not installed without a word.
        require(tracker, "trackers", f"trackers: reporting to {tracker}")
    try:
        with hidden_from_accelerate():
            accelerator = Accelerator(
                cpu=only_cpu,
                mixed_precision=config.mixed_precision,
                log_with=list(config.trackers) or None,
                project_dir=str(Path(output) / "trackers") if config.trackers else None,
            )
    except ValueError as error:
        raise ValueError(f"mixed_precision: got {config.mixed_precision!r}; {error}") from error
    if accelerator.device.type == "cpu" and accelerator.mixed_precision == "fp16":
        # Accelerate would train in single precision without a word; PyTorch has both parts for CPUs.
        accelerator.native_amp = True
        accelerator.scaler = torch.amp.GradScaler("cpu")
    if accelerator.num_processes != launched:
        raise ValueError(
            f"processes: {launched} were launched, but Accelerate sees {accelerator.num_processes}: each would be a "
            "run of its own in the same folder; for CPUs set ACCELERATE_USE_CPU=true"
        )
    refuse_sharding(accelerator.distributed_type)
    return accelerator


def start_trackers(accelerator: Accelerator, config: TrainingConfig) -> None:
    """Open the trackers with the configuration as their hyper-parameters."""
    if not accelerator.log_with:
        return
    plain = {
        name: value if isinstance(value, (int, float, str, bool)) else str(value)
        for name, value in flattened(config.to_dict()).items()
    }
    names: dict[str, dict[str, Any]] = {"wandb": {"name": config.name}, "trackio": {"name": config.name}}
    chosen = {name: arguments for name, arguments in names.items() if name in config.trackers}
    accelerator.init_trackers(PROJECT, config=plain, init_kwargs=chosen)
