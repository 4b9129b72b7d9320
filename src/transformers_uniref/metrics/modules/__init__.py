"""The accumulators of `metrics` as modules of the package `evaluate`, each a folder that it loads by path.

    import evaluate
    from transformers_uniref.metrics.modules import module_path

    metric = evaluate.load(module_path("referring_segmentation"))
    metric.add_batch(predictions=masks, references=true_masks)
    metric.compute()

A folder is also what a Space of the Hub needs to hold for `evaluate.load("user/name")`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...core.errors import UsageError

_FOLDER = Path(__file__).parent


def module_names() -> list[str]:
    """The modules that there are."""
    return sorted(folder.name for folder in _FOLDER.iterdir() if (folder / f"{folder.name}.py").is_file())


def module_path(name: str) -> str:
    """The folder of a module.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in module_names():
        raise UsageError(f"`name` must be one of {', '.join(module_names())}, got {name!r}")
    return str(_FOLDER / name)


def metric_info(description: str, inputs: str, *text_columns: str) -> Any:
    """The `evaluate.MetricInfo` of a module that compares pictures, with further columns of text."""
    import datasets
    import evaluate

    pictures = {name: datasets.Image() for name in ("predictions", "references")}
    features = datasets.Features(pictures | {name: datasets.Value("string") for name in text_columns})
    return evaluate.MetricInfo(description=description, citation="", inputs_description=inputs, features=features)
