"""The Accelerator of a run, and the trackers (TensorBoard, Weights & Biases, Trackio) that it reports to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import Accelerator

from ..optional import require
from .config import TrainingConfig
from .config_loop import flattened

PROJECT = "transformers-uniref"


def build_accelerator(config: TrainingConfig, output: str | Path) -> Accelerator:
    """Devices, precision, processes and trackers of a run.

    Args:
        config: the run.
        output: its folder; trackers that keep files keep them in `output/trackers`.

    Raises:
        MissingExtraError: a tracker of `config.trackers` is not installed.
        ValueError: this device has no such precision.
    """
    for tracker in config.trackers:
        # Accelerate drops trackers that are not installed without a word.
        require(tracker, "trackers", f"trackers: reporting to {tracker}")
    try:
        return Accelerator(
            mixed_precision=config.mixed_precision,
            log_with=list(config.trackers) or None,
            project_dir=str(Path(output) / "trackers") if config.trackers else None,
        )
    except ValueError as error:
        raise ValueError(f"mixed_precision: got {config.mixed_precision!r}; {error}") from error


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
