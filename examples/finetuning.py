"""What the two fine-tuning examples share: options, reading pictures, the run, and the report."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image
from transformers import AutoConfig, AutoModel, AutoProcessor

from transformers_uniref.core.model_names import model_location
from transformers_uniref.datasets.schema import features
from transformers_uniref.training.config.training import config_from_dict, load_config
from transformers_uniref.training.loop import train

Scores = dict[str, float]
STORED_SIDE = 320
"""Short side in pixels of the pictures that are trained on: twice the largest that the recipes cut from them."""


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of the run itself."""
    parser.add_argument("--output", type=Path, required=True, help="new folder: data/, run/ with the adapter in final/")
    parser.add_argument(
        "--model",
        default="uniref-pp",
        help="the model to adapt: a folder, a Hub id or a bundled name (default: uniref-pp)",
    )
    parser.add_argument("--peft", default="lora", help="adapter preset (default: lora); none: train the whole model")
    parser.add_argument("--steps", type=int, help="optimiser steps (default: those of the recipe)")
    parser.add_argument(
        "--override", action="append", default=[], metavar="KEY=VALUE", help="change another option of the recipe"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def read_picture(path: Path) -> np.ndarray:
    """uint8 (H, W, 3)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def read_labels(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Object numbers (H, W), 0 is background; palette and grey masks of another size are resized by nearest."""
    with Image.open(path) as picture:
        labels = picture if picture.mode in ("P", "L", "I", "1") else picture.convert("L")
        height, width = size
        return np.asarray(labels if labels.size == (width, height) else labels.resize((width, height), Image.NEAREST))


def reduced(picture: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its label map with a short side of `STORED_SIDE` or less: a run decodes them at every step."""
    height, width = labels.shape
    scale = STORED_SIDE / min(height, width)
    if scale >= 1:
        return picture, labels
    size = (round(width * scale), round(height * scale))
    smaller = Image.fromarray(labels.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)), np.asarray(smaller)


def save_rows(rows: Sequence[dict[str, Any]], folder: Path) -> Path:
    """Rows of `datasets/schema.py` as a folder that a recipe's `source` names."""
    Dataset.from_list(list(rows), features=features()).save_to_disk(str(folder))
    return folder


def run_example(
    arguments: argparse.Namespace,
    recipe: str,
    sources: Sequence[Path],
    measure: Callable[[Any, Any], Scores],
) -> int:
    """Measure, train an adapter by a recipe, measure again.

    Args:
        arguments: of `add_run_options`.
        recipe: name of a bundled recipe.
        sources: of its datasets, in their order.
        measure: scores by name of a model with its processor, on what was held back.
    """
    location = model_location(arguments.model)
    before = measure(AutoModel.from_pretrained(location).eval(), AutoProcessor.from_pretrained(location))
    overrides = [f"initial_weights={location}", *arguments.override]
    overrides += [f"datasets.{number}.source={folder}" for number, folder in enumerate(sources)]
    if arguments.steps is not None:
        overrides.append(f"steps={arguments.steps}")
    side = getattr(AutoConfig.from_pretrained(location), "image_size", None)
    if side is not None:  # a SAM's input is of one size
        for number in range(len(sources)):
            overrides += [f"datasets.{number}.{name}" for name in (f"short_sides=[{side}]", f"longest_side={side}")]
            overrides.append(f"datasets.{number}.crop.probability=0")
    config = load_config(recipe, overrides)
    peft = {"preset": "" if arguments.peft == "none" else arguments.peft, "config": {}}
    config = config_from_dict({**config.to_dict(), "peft": peft})
    if not train(config, arguments.output / "run"):
        return 130
    final = arguments.output / "run" / "final"
    after = measure(AutoModel.from_pretrained(final).eval(), AutoProcessor.from_pretrained(final))
    weights = sum(file.stat().st_size for file in final.glob("*.safetensors"))
    report = {"before": before, "after": after, "adapter": str(final), "adapter_bytes": weights}
    if arguments.json:
        print(json.dumps(report))
    else:
        print(f"{'held back':<24}{'IoU before':>12}{'IoU after':>12}")
        for name, value in before.items():
            print(f"{name:<24}{value:>12.3f}{after[name]:>12.3f}")
        print(f"{weights:,} bytes in {final}")
    return 0


def fail(message: str) -> int:
    """Report a user's mistake."""
    print(message, file=sys.stderr)
    return 2
