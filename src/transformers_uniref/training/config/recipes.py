"""The bundled recipes: what each is for, how large it is, and what a run still has to be told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .training import TrainingConfig, load_config
from .values import bundled_configs


def describe_recipes() -> list[dict[str, Any]]:
    """One entry a bundled recipe: `name`, `purpose` (the first line of its file), `size`, `starts_from`."""
    entries = []
    for name, path in bundled_configs().items():
        config = load_config(name)
        entries.append(
            {"name": name, "purpose": purpose_of(path), "size": size_of(config), "starts_from": config.starts_from}
        )
    return entries


def purpose_of(path: Path) -> str:
    """The first line of a recipe, which is a comment."""
    first = path.read_text(encoding="utf-8").split("\n", 1)[0]
    return first.lstrip("# ").strip() if first.startswith("#") else ""


def size_of(config: TrainingConfig) -> str:
    """Steps, images a step, and their short sides, such as "90,000 steps of 32 images, 480 to 800 pixels"."""
    if config.datasets:
        images = config.global_batch or config.mixture.batches * max(d.batch_size for d in config.datasets)
        sides = sorted(side for dataset in config.datasets if dataset.weight for side in dataset.short_sides)
        shown = f"{images} images"
    else:
        scenes = sum(sum(batch.scenes.values()) / batch.every for batch in config.micro_batches)
        sides = sorted(phase.size for phase in config.image_sizes)
        shown = f"{scenes:g} scenes"
    pixels = f"{sides[0]}" if sides[0] == sides[-1] else f"{sides[0]} to {sides[-1]}"
    return f"{config.steps:,} steps of {shown}, {pixels} pixels"


def recipe_table(entries: list[dict[str, Any]]) -> str:
    """The recipes for a person."""
    lines = []
    for entry in entries:
        after = f"; starts from {entry['starts_from']}" if entry["starts_from"] else ""
        lines += [entry["name"], f"    {entry['purpose']}", f"    {entry['size']}{after}"]
    return "\n".join(lines)


def unset_options(config: TrainingConfig) -> list[str]:
    """What the recipe leaves to its user and was not given: lines that begin with the options' names."""
    unset = [
        f"datasets.{position}.source ({dataset.name})"
        for position, dataset in enumerate(config.datasets)
        if dataset.weight and not dataset.source
    ]
    if config.validation.every:
        unset += [
            f"validation.datasets.{position}.source ({dataset.name})"
            for position, dataset in enumerate(config.validation.datasets)
            if not dataset.source
        ]
    missing = []
    if unset:
        missing.append(
            f"{', '.join(unset)}: folders, Parquet files or Hub ids; a dataset that is not at hand is left out with "
            "datasets.N.weight=0"
        )
    if config.sampling.photo_share and not config.sampling.photo_folder:
        missing.append(
            "sampling.photo_folder: sequences with masks, see worlds/photo/world.py (or sampling.photo_share=0)"
        )
    if any(micro_batch.domain for micro_batch in config.micro_batches) and not config.sampling.photographs:
        missing.append("sampling.photographs: folders of photographs with masks, see worlds/photographs/folders.py")
    if config.takes_initial_model and not config.initial_weights and not config.starts_from:
        kind = "that the adapter is for" if config.peft else "to be trained"
        missing.append(f"initial_weights: folder, Hub id or bundled name of the model {kind}")
    if config.starts_from and not config.initial_weights and not config.backbone_weights:
        if config.starts_from in bundled_configs():
            folder = f"the folder `final` of a run of {config.starts_from}"
        else:
            folder = f"the folder that `{config.starts_from}` writes"
        instead = " (or start from a public backbone: backbone_weights)" if config.architecture == "uniref" else ""
        missing.append(f"initial_weights: {folder}{instead}")
    return missing


def require_complete(config: TrainingConfig) -> None:
    """Refuse a run that was not told everything.

    Raises:
        ValueError: names every option that has to be set.
    """
    missing = unset_options(config)
    if missing:
        raise ValueError(f"{config.name} leaves to be set with `overrides`: {'; '.join(missing)}")
