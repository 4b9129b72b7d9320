"""Losses and gradients that are not finite: what is written down about them, and the error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.atomic import replacing
from ...core.errors import FailureError
from ...core.json_writing import to_json

NAMED_IDS = 8


class NonFiniteError(FailureError, FloatingPointError, ValueError):
    """The loss or the gradient of a step is NaN or infinite."""


@dataclass
class MicroBatchRecord:
    """What is remembered of a micro-batch until the step is known to be sound."""

    tasks: list[str]
    sample_ids: list[str]
    loss: float


def write_nonfinite(
    folder: Path, step: int, process: int, gradient_norm: float, records: Sequence[MicroBatchRecord]
) -> tuple[Path, str]:
    """Write a JSON file about `step` into `folder`.

    Args:
        step: 0-based.
        process: number of this process; each writes its own samples.
        gradient_norm: of the whole gradient (NaN where it was not computed).
        records: the micro-batches of this process.

    Returns:
        the file and a sentence for the error: what is not finite, and the sample ids (the first of them).
    """
    losses = [record for record in records if not math.isfinite(record.loss)]
    suspects = losses or records
    ids = [sample for record in suspects for sample in record.sample_ids]
    what = "loss" if losses else "gradient"
    path = folder / f"nonfinite-step-{step:08d}-process-{process}.json"
    content = {
        "step": step,
        "process": process,
        "what": what,
        "gradient_norm": str(gradient_norm),
        "sample_ids": ids,
        # JSON has no NaN: numbers are written as text.
        "micro_batches": [
            {"loss": str(r.loss), "tasks": sorted(set(r.tasks)), "sample_ids": r.sample_ids} for r in records
        ],
    }
    with replacing(path) as partial:
        partial.write_text(to_json(content, indent=1) + "\n", encoding="utf-8")
    tasks = ", ".join(sorted({task for record in suspects for task in record.tasks}))
    named = ", ".join(ids[:NAMED_IDS]) + (f" and {len(ids) - NAMED_IDS} more" if len(ids) > NAMED_IDS else "")
    value = ", ".join(str(record.loss) for record in losses) if losses else f"of norm {gradient_norm}"
    return path, f"step {step}: the {what} is not finite ({value}; tasks: {tasks}; samples: {named}), see {path}"
