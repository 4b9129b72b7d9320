"""A whole dataset annotated: shard by shard, over several processes, going on after an interruption."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..core.atomic import alone, replacing
from ..core.errors import UsageError
from ..core.processes import Processes
from ..datasets.parquet_shards import read_summary, shard_name, write_rows
from ..datasets.schema import Row
from .answering import Answering
from .bad_samples import BadSamples
from .card import annotation_card
from .columns import BadSampleError, Columns, Sample, choose_columns
from .pictures import Picture, load_picture
from .plan import Plan, differences, make_plan, read_manifest, write_manifest
from .rows import annotated_features, annotated_row
from .settings import AnnotationSettings
from .source import Source

DATA = "data"
_WORK = ".annotate"


@dataclass
class AnnotationResult:
    """What an annotation came to.

    Attributes:
        folder: where it is.
        counts: `rows` of the output, `sentences`, and `objects`: masks with a pixel.
        bad: reasons by the ids of the rows that were skipped.
        made, kept: numbers of shards written now (by this process), and found finished.
    """

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)
    made: int = 0
    kept: int = 0


def annotate(
    source: Source,
    answering: Answering,
    settings: AnnotationSettings,
    output: str | os.PathLike[str],
    *,
    model_name: str = "",
    processes: Processes | None = None,
    overwrite: bool = False,
    progress: bool = False,
    report: Callable[[str], Any] = lambda line: None,
) -> AnnotationResult:
    """Annotate every row of a dataset, and write Parquet shards, a manifest and a dataset card.

    Which rows a shard holds follows from the dataset and the shard size alone, and a shard has its name only when it is
    whole. An annotation that was interrupted goes on when it is called again, with any number of processes: shards that
    are there are kept, the others are made from their first row on, so that every row is there exactly once.

    Args:
        source: the dataset.
        answering: the model.
        settings: of the annotation.
        output: folder to write to.
        model_name: of the model, for the card.
        processes: those that share the work and all call this; None: this one alone.
        overwrite: replace what another annotation wrote.
        progress: show bars on standard error.
        report: called with a line for each row that is skipped.

    Raises:
        ValueError: a column is missing, an id comes twice, `output` holds another annotation, or more rows are bad than
            may be skipped.
    """
    processes = processes or Processes()
    columns = choose_columns(source.features, settings)
    features = annotated_features(columns, source.features, settings.copy_images)
    folder = Path(output)
    with _prepared(folder, processes) as fresh:
        plan = None
        if processes.is_main:
            try:
                with tqdm(desc="ids", unit="row", disable=not progress) as bar:
                    plan = make_plan(source, columns, settings, answering.identity(), bar.update)
                _claim(folder, plan, overwrite)
            except ValueError:
                if fresh:
                    shutil.rmtree(folder, ignore_errors=True)
                raise
        processes.wait()
        found = read_manifest(folder)
        if found is None:
            raise UsageError(f"`output`: {folder} must be a folder that all processes share")
        plan = plan or found[0]
        paths = [folder / DATA / shard_name(source.split, number, plan.shards) for number in range(plan.shards)]
        finished = {number: done for number, path in enumerate(paths) if (done := read_summary(path)) is not None}
        processes.wait()  # nobody writes before all know what was there
        work = _Work(source, columns, features, answering, settings, plan, BadSamples(settings.max_bad_samples, report))
        for summary in finished.values():
            work.bad.extend(summary["bad"])
        mine = processes.share([number for number in range(plan.shards) if number not in finished])
        total = sum(stop - start for start, stop in map(plan.bounds, mine))
        with tqdm(total=total, desc="annotate", unit="row", disable=not progress) as bar:
            for number in mine:
                work.write(paths[number], *plan.bounds(number), bar.update)
        processes.wait()
        result = AnnotationResult(folder, made=len(mine), kept=len(finished))
        if processes.is_main:
            _sum_up(result, paths, settings)
            card = annotation_card(source, settings, plan, result.counts, result.bad, model_name)
            with replacing(folder / "README.md") as partial:
                partial.write_text(card, encoding="utf-8")
        return result


@contextmanager
def _prepared(folder: Path, processes: Processes) -> Iterator[bool]:
    """Makes and locks the folder; whether it is new. Two annotations must not share it."""
    if not processes.is_main:
        yield False
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"`output` must be a folder, got a file: {folder}")
    fresh = not folder.exists()
    work = folder / _WORK
    with alone(work / "lock", f"`output`: another annotation is writing to {folder}"):
        try:
            yield fresh
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _claim(folder: Path, plan: Plan, overwrite: bool) -> None:
    """Make sure that what `folder` holds is of this plan, and leave the manifest there."""
    data = folder / DATA
    if overwrite and _is_foreign(folder, plan):
        shutil.rmtree(data, ignore_errors=True)
    before = read_manifest(folder) if not overwrite else None
    if before is not None and before[1] != plan.fingerprint:
        named = differences(before[0].settings, plan.settings) or ["the version of the format"]
        raise UsageError(
            f"`output`: {folder} holds an annotation with other settings: {', '.join(named)}; name another folder or "
            "give `overwrite`"
        )
    for path in sorted(data.glob("*.parquet")):
        summary = read_summary(path)
        if path.name.startswith("."):  # left behind by a process that was killed
            path.unlink(missing_ok=True)
        elif summary is None or summary.get("fingerprint") != plan.fingerprint:
            raise UsageError(f"`output`: {path} is not of this annotation; name another folder or give `overwrite`")
    write_manifest(folder, plan)


def _is_foreign(folder: Path, plan: Plan) -> bool:
    try:
        before = read_manifest(folder)
    except ValueError:
        return True
    return before is None or before[1] != plan.fingerprint


@dataclass
class _Work:
    """What is needed to make any shard."""

    source: Source
    columns: Columns
    features: Any
    answering: Answering
    settings: AnnotationSettings
    plan: Plan
    bad: BadSamples

    def write(self, path: Path, start: int, stop: int, progress: Callable[[int], Any]) -> None:
        """Make the shard of the rows `start` to `stop`."""
        counts = {"rows": 0, "sentences": 0, "objects": 0}
        bad: dict[str, str] = {}

        def rows() -> Iterator[Row]:
            for batch in self._batches(start, stop, bad, progress):
                answers = self.answering([(picture.pixels, sample.sentences) for sample, picture in batch])
                for (sample, picture), found in zip(batch, answers, strict=True):
                    row = annotated_row(sample, picture, found, self.source.name, self.source.split, self.settings)
                    counts["rows"] += 1
                    counts["sentences"] += len(row["sentences"])
                    counts["objects"] += len(row["instances"])
                    yield row

        def summary() -> dict[str, Any]:
            return {"fingerprint": self.plan.fingerprint, "counts": counts, "bad": bad}

        # Run lengths are text, pictures are compressed already.
        compression = "none" if self.settings.copy_images else "zstd"
        write_rows(path, rows(), self.features, summary, compression)

    def _batches(
        self, start: int, stop: int, bad: dict[str, str], progress: Callable[[int], Any]
    ) -> Iterator[list[tuple[Sample, Picture]]]:
        batch: list[tuple[Sample, Picture]] = []
        rows = self.source.read(start, stop, self.plan.sizes, self.columns.all)
        for number, row in enumerate(rows, start=start):
            progress(1)
            try:
                sample = self.columns.sample(row, number)
                batch.append((sample, load_picture(sample, self.source.folder, self.settings.copy_images)))
            except BadSampleError as error:
                self.bad.add(error.sample_id, error.reason)
                bad[error.sample_id] = error.reason
            if len(batch) == self.settings.batch_size:
                yield batch
                batch = []
        if batch:
            yield batch


def _sum_up(result: AnnotationResult, paths: list[Path], settings: AnnotationSettings) -> None:
    """Add up what the shards say, those of other processes included."""
    for path in paths:
        summary = read_summary(path)
        if summary is None:
            raise UsageError(f"`output`: {path} is missing, although its process ended; run the same command again")
        result.bad.update(summary["bad"])
        for name, value in summary["counts"].items():
            result.counts[name] = result.counts.get(name, 0) + value
    BadSamples(settings.max_bad_samples).extend(result.bad)
