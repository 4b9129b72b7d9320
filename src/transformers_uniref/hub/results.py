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

from ..evaluation.definitions import DEFINITIONS
from .errors import PushError
from .provenance import weights_fingerprint

FILE_NAME = "evaluation.json"

TASKS = {
    "ris": "referring segmentation",
    "fss": "few-shot segmentation",
    "vos": "video object segmentation",
    "rvos": "referring video segmentation",
    "sanity": "sanity checks",
}
_METRICS = {"miou": "mean_iou", "oiou": "overall_iou", "jf": "j_and_f"}


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
        raise PushError(
            f"{path}: was measured {what}; measure again (uniref evaluate --model {folder} --json) or remove it"
        )
    return evaluation


def measures(evaluation: dict[str, Any]) -> Iterator[tuple[tuple[str, str], float]]:
    """(section, measure) and value of everything that was measured, in the order of the definitions."""
    for section, names in DEFINITIONS.items():
        for name in names:
            value = evaluation.get(section, {}).get(name)
            if value is not None:
                yield (section, name), float(value)


def eval_results(evaluation: dict[str, Any]) -> list[EvalResult]:
    """The entries of a card's `model-index`."""
    settings = evaluation.get("settings", {})
    arguments = {name: settings[name] for name in ("seed", "images", "clips", "size") if name in settings}
    return [
        EvalResult(
            task_type="image-segmentation",
            task_name=TASKS[section],
            dataset_type=f"transformers_uniref.data.{settings.get('dataset', 'world').title()}",
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


def results_table(evaluation: dict[str, Any]) -> str:
    """A Markdown table: measure, value, standard error and number of answers, where these are known."""
    lines = ["| measure | value | standard error | answers |", "|---|---|---|---|"]
    for (section, name), value in measures(evaluation):
        error = evaluation.get("standard_errors", {}).get(section, {}).get(name)
        count = evaluation.get("counts", {}).get(section, {}).get(name, "")
        lines.append(f"| {section}.{name} | {value:.3f} | {'' if error is None else f'{error:.3f}'} | {count} |")
    return "\n".join(lines)
