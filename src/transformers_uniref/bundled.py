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


def introduction(given: str | None) -> str | None:
    """What a bundled model is, and where better weights come from; None for any other model."""
    location = Path(str(DEFAULT_CHECKPOINT) if given is None else model_location(given)).resolve()
    name = next((name for name, folder in bundled_checkpoints().items() if folder.resolve() == location), None)
    if name is None:
        return None
    return (
        f"{name} is the bundled demonstration model: small, made for drawn scenes, little to be relied on in "
        "photographs. Better weights: convert the released ones (uniref convert) or train (uniref train), then --model"
    )
