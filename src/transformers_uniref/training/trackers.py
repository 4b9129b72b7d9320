"""The Accelerator of a run, and the trackers (TensorBoard, Weights & Biases, Trackio) that it reports to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ..core.errors import UsageError
from ..core.optional import require
from .config.loop import flattened
from .sharding.request import hidden_from_accelerate, refuse_sharding

PROJECT = "transformers-uniref"


def build_accelerator(output: str | Path, mixed_precision: str, trackers: Sequence[str]) -> Accelerator:
    """Devices, precision, processes and trackers of a run.

    Args:
        output: the run's folder; trackers that keep files keep them in `output/trackers`.
        mixed_precision: no, bf16 or fp16.
        trackers: of tensorboard, wandb, trackio.

    Raises:
        MissingExtraError: one of `trackers` is not installed.
        ValueError: this device has no such precision, or the processes that were launched do not see each other.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    # Without a device Accelerate joins the processes only when it is told that it is for the CPU.
    only_cpu = launched > 1 and not torch.accelerator.is_available()
    for tracker in trackers:
        # Accelerate drops trackers that are not installed without a word.
        require(tracker, "trackers", f"trackers: reporting to {tracker}")
    try:
        with hidden_from_accelerate():
            accelerator = Accelerator(
                cpu=only_cpu,
                mixed_precision=mixed_precision,
                log_with=list(trackers) or None,
                project_dir=str(Path(output) / "trackers") if trackers else None,
            )
    except ValueError as error:
        raise UsageError(f"mixed_precision: got {mixed_precision!r}; {error}") from error
    if accelerator.device.type == "cpu" and accelerator.mixed_precision == "fp16":
        # Accelerate would train in single precision without a word; PyTorch has both parts for CPUs.
        accelerator.native_amp = True
        accelerator.scaler = torch.amp.GradScaler("cpu")
    if accelerator.num_processes != launched:
        raise UsageError(
            f"processes: {launched} were launched, but Accelerate sees {accelerator.num_processes}: each would be a "
            "run of its own in the same folder; for CPUs set ACCELERATE_USE_CPU=true"
        )
    refuse_sharding(accelerator.distributed_type)
    return accelerator


def start_trackers(accelerator: Accelerator, name: str, options: Mapping[str, Any]) -> None:
    """Open the trackers for the run `name`, with its options as their hyper-parameters."""
    if not accelerator.log_with:
        return
    plain = {
        option: value if isinstance(value, (int, float, str, bool)) else str(value)
        for option, value in flattened(dict(options)).items()
    }
    named = {tracker: {"name": name} for tracker in ("wandb", "trackio") if tracker in options["trackers"]}
    accelerator.init_trackers(PROJECT, config=plain, init_kwargs=named)
