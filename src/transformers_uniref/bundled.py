"""The models that ship with the package, by name."""

from __future__ import annotations

from pathlib import Path

from .registration import DEFAULT_CHECKPOINT


def bundled_checkpoints() -> dict[str, Path]:
    """Folders of the bundled models."""
    parent = DEFAULT_CHECKPOINT.parent
    return {folder.name: folder for folder in sorted(parent.glob("*")) if (folder / "config.json").is_file()}


def model_location(given: str) -> str:
    """Where a model lies: a folder that exists, else a bundled model of that name, else what was given (a Hub id)."""
    if not Path(given).is_dir() and given in bundled_checkpoints():
        return str(bundled_checkpoints()[given])
    return given
