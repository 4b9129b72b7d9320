"""Resumable checkpoints: written whole or not at all, a few kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

STATE_FILE = "training_state.pt"
PREFIX = "step-"


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of `folder`, oldest first."""
    found = folder.glob(f"{PREFIX}*")
    return sorted(path for path in found if (path / STATE_FILE).is_file() and path.suffix != ".partial")


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `state` as the checkpoint of `step`, then delete all but the `keep` newest.

    The files are written under another name and renamed when they are complete: a killed run never leaves a checkpoint
    that cannot be read.
    """
    final = folder / f"{PREFIX}{step:08d}"
    partial = final.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with open(partial / STATE_FILE, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU (tensors and plain values only)."""
    return torch.load(path / STATE_FILE, map_location="cpu", weights_only=True)
