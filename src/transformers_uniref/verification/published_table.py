"""The figures that were published for released weights beside those that are measured with them here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import one_line
from ..core.released_models import PublishedFigure, ReleasedWeights

if TYPE_CHECKING:
    from ..modeling.shared_model import AnyUniRefModel
    from ..processors.processing_uniref import UniRefProcessor

_MEASURES = {"fss-1000": "mIoU_image"}
"""Under another name than the figure's: the released code takes the mean over pictures."""


@dataclass(frozen=True)
class TableRow:
    """One published figure.

    Attributes:
        figure: what was published, in percent.
        measured: in percent; None where it was not.
        note: why it was not.
    """

    figure: PublishedFigure
    measured: float | None
    note: str = ""


def measure_published(
    weights: ReleasedWeights,
    model: AnyUniRefModel,
    processor: UniRefProcessor,
    source: Path,
    *,
    output: Path | None = None,
    limit: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[TableRow]:
    """Measures each published figure whose data are there, as the released code asked.

    Args:
        weights: whose figures.
        model: loaded from them.
        processor: its processor.
        source: folder with one folder for each data set, called by its name (`davis-2017`, `refcoco+`), as `uniref data
            build` writes it.
        output: folder for results, from which an interrupted measurement goes on; and for the submissions of data sets
            whose answers only a server knows.
        limit: the first samples alone; the numbers are then those of another set.
        tell: called with each row before it is measured.
    """
    from ..evaluation.benchmarks import find_benchmark
    from ..evaluation.dataset_evaluation import evaluate_dataset

    rows = []
    for figure in weights.figures:
        folder = source / figure.dataset
        benchmark = find_benchmark(figure.dataset)
        if not folder.is_dir():
            rows.append(TableRow(figure, None, "not in the source"))
            continue
        on_server = figure.split in benchmark.server_splits
        if on_server and output is None:
            rows.append(TableRow(figure, None, "only a server knows the answers: give `output` for the submission"))
            continue
        if tell is not None:
            tell(f"{figure.title} {figure.split}")
        kept = None if output is None else output / f"{figure.dataset}-{figure.split}"
        try:
            summary = evaluate_dataset(
                model,
                processor,
                str(folder),
                figure.dataset,
                split=figure.split,
                preset="paper",
                output=kept,
                limit=limit,
                model_name=weights.name,
                progress=True,
            )
        except (FileNotFoundError, ValueError) as error:
            rows.append(TableRow(figure, None, one_line(error)))
            continue
        value = summary["measures"].get(_MEASURES.get(figure.dataset, figure.measure))
        note = (
            f"submission in {kept}" if on_server else "" if value is not None else f"{figure.measure} was not measured"
        )
        rows.append(TableRow(figure, None if value is None else 100 * value, note))
    return rows
