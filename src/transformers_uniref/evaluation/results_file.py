"""Results that this project measured, as they stand in a model folder and in the metadata of a card.

`uniref evaluate --model FOLDER --json > FOLDER/evaluation.json` puts them there. They are published only for the
weights that they were measured on, which the evaluation's `settings.weights` tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

from ..core.provenance import weights_fingerprint
from ..core.push_errors import PushError
from .definitions import DEFINITIONS
from .wording import markdown_table

FILE_NAME = "evaluation.json"

TASKS = {
    "ris": "referring segmentation",
    "gris": "generalised referring segmentation",
    "photos": "photographs by sentence",
    "fss": "few-shot segmentation",
    "vos": "video object segmentation",
    "rvos": "referring video segmentation",
    "everything": "object discovery",
    "uvos": "unsupervised video object segmentation",
    "sanity": "sanity checks",
}
_METRICS = {"miou": "mean_iou", "oiou": "overall_iou", "jf": "j_and_f"}
_DATASET_METRICS = {"mIoU": "mean_iou", "mIoU_class": "mean_iou", "oIoU": "overall_iou", "J&F": "j_and_f"}


def read_results(folder: Path) -> dict[str, Any] | None:
    """The evaluation in a folder; None where there is none.

    Raises:
        PushError: it is damaged, was not written by `uniref evaluate`, or was measured on other weights.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        evaluation = json.loads(path.read_text(encoding="utf-8"))
        measured = dict(measures(evaluation))
        weights = evaluation["settings"].get("weights")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PushError(f"{path}: not the JSON of `uniref evaluate` ({type(error).__name__}: {error})") from error
    if not measured:
        raise PushError(f"{path}: the JSON of `uniref evaluate` has measures, this one has none")
    if weights != weights_fingerprint(folder):
        what = "on other weights than these" if weights else "on weights that it does not tell"
        raise PushError(f"{path}: was measured {what}; measure again with `uniref evaluate`, or remove it")
    return evaluation


def measures(evaluation: dict[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    """(section, measure) and value of everything that was measured, in the order of the definitions."""
    if is_of_dataset(evaluation):
        for name, value in evaluation["measures"].items():
            if value is not None:
                yield (evaluation["dataset"], name), float(value)
        return
    for section, names in DEFINITIONS.items():
        for name in names:
            value = evaluation.get(section, {}).get(name)
            if value is not None:
                yield (section, name), float(value)


def is_of_dataset(evaluation: dict[str, Any]) -> bool:
    """Whether this was measured on a data set (`uniref evaluate --dataset NAME`), not in the procedural world."""
    return evaluation.get("kind") == "dataset"


def eval_results(evaluation: dict[str, Any]) -> list[EvalResult]:
    """The entries of a card's `model-index`."""
    if is_of_dataset(evaluation):
        return _dataset_results(evaluation)
    settings = evaluation.get("settings", {})
    arguments = {name: settings[name] for name in ("seed", "images", "clips", "size") if name in settings}
    return [
        EvalResult(
            task_type="image-segmentation",
            task_name=TASKS[section],
            dataset_type=f"transformers_uniref.worlds.{settings.get('dataset', 'world').title()}",
            dataset_name="scenes of the procedural world",
            dataset_config=TASKS[section],  # tells the tasks' entries apart
            dataset_split=settings.get("split", "test"),
            dataset_args=arguments or None,
            metric_type=_METRICS.get(name.split("_")[0], name),
            metric_name=f"{section}.{name}",
            metric_value=round(value, 4),
        )
        for (section, name), value in measures(evaluation)
        if section != "sanity"
    ]


def _dataset_results(evaluation: dict[str, Any]) -> list[EvalResult]:
    settings = evaluation["settings"]
    arguments = {
        name: settings[name]
        for name in ("preset", "gate", "shots", "propagate_text", "samples", "of_samples")
        if name in settings
    }
    return [
        EvalResult(
            task_type="image-segmentation",
            task_name=TASKS[evaluation["task"]],
            dataset_type=evaluation["dataset"],
            dataset_name=evaluation["title"],
            dataset_split=evaluation["split"],
            dataset_args=arguments,
            metric_type=_DATASET_METRICS.get(name, name.lower().replace("&", "_and_").replace("@", "_at_")),
            metric_name=name,
            metric_value=round(value, 4),
        )
        for (_, name), value in measures(evaluation)
    ]


def results_table(evaluation: dict[str, Any]) -> str:
    """A Markdown table: measure, value, standard error and number of answers, where these are known."""
    rows = []
    for (section, name), value in measures(evaluation):
        error = evaluation.get("standard_errors", {}).get(section, {}).get(name)
        count = evaluation.get("counts", {}).get(section, {}).get(name, "")
        rows.append((f"{section}.{name}", f"{value:.3f}", "" if error is None else f"{error:.3f}", str(count)))
    return "\n".join(markdown_table(("measure", "value", "standard error", "answers"), rows))
