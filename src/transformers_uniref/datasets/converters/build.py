"""Building a data set: plan, convert in shards on several processes, go on after an interruption, report."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ...core.atomic import alone
from ...core.errors import InvalidInputError, UsageError
from ...core.json_writing import to_json
from ...core.version import __version__
from ..parquet_shards import read_summary, shard_name
from .base import Converter, Item, Plan, RowReader, check_unique
from .held_out import write_held_out
from .published import check_archives
from .remarks import Remarks
from .reports import deviations, notes, read_reports, write_card, write_report
from .shards import MEASURES, write_shard
from .source_tree import SourceTree

FORMAT = 1
"""Raised when rows of the same source change, so that older shards are not taken for finished ones."""

DATA = "data"
_WORK = ".build"


@dataclass
class BuildResult:
    """What a build found.

    Attributes:
        folder: where it is.
        reports: by split, see `reports.py`.
        deviations, notes: one line each.
        made, kept: numbers of shards written now, and found finished.
    """

    folder: Path
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    deviations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    made: int = 0
    kept: int = 0


def build(
    converter: Converter,
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    splits: Sequence[str] = (),
    *,
    workers: int = 1,
    rows_per_shard: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> BuildResult:
    """Convert a download into Parquet shards, a report a split and a dataset card.

    A build that was interrupted goes on when it is called again: shards that are whole are kept.

    Args:
        converter: of the data set.
        source: folder (or archive) of the original download.
        output: folder to write to.
        splits: which; none: all, and those whose files are missing become deviations.
        workers: processes.
        rows_per_shard: rows of a Parquet file; default: the converter's.
        overwrite: replace shards of another build.
        progress: show a bar on standard error.

    Raises:
        ValueError: a wrong split or number, damaged files, ids that come twice, or another build in `output`.
        FileNotFoundError: the source lacks files of a split that was asked for.
    """
    for name, value in {"workers": workers, "rows_per_shard": rows_per_shard}.items():
        if value is not None and value < 1:
            raise InvalidInputError(name, value, "1 or more")
    for split in splits:
        converter.check_split(split)
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"`output` must be a folder, got a file: {folder}")
    tree = SourceTree(source)
    result = BuildResult(folder)
    fresh = not folder.exists()
    try:
        work = folder / _WORK
        with alone(work / "lock", f"`output`: another build is writing to {folder}"):
            plans = _plan(converter, tree, splits, work, result)
            archives = check_archives(converter.name, tree)
            for split, plan in plans.items():
                for archive in archives:
                    plan.remarks.deviation("archives with another checksum than published", archive)
                size = rows_per_shard or converter.rows_per_shard
                report = _build_split(converter, split, plan, folder, size, workers, overwrite, progress, result)
                write_report(folder, report)
                if plan.held_out:
                    write_held_out(folder, plan.held_out)
            shutil.rmtree(work)
    except (FileNotFoundError, ValueError):
        if fresh and not (folder / DATA).exists():
            shutil.rmtree(folder, ignore_errors=True)
        raise
    result.reports = read_reports(folder)
    result.deviations += deviations(converter, result.reports)
    result.notes = notes(result.reports)
    write_card(folder, converter, result.reports)
    return result


def _plan(
    converter: Converter, tree: SourceTree, splits: Sequence[str], work: Path, result: BuildResult
) -> dict[str, Plan]:
    """The plans of all splits, before anything is written."""
    plans, missing = {}, []
    for split in splits or converter.splits:
        try:
            plan = converter.plan(tree, split, work)
        except FileNotFoundError as error:
            if splits:
                raise
            missing.append(f"{split}: not built, {error}")
            continue
        check_unique([item.sample_id for item in plan.items], "the sample")
        if not plan.items:
            raise UsageError(f"`source`: {tree.root} holds no sample of the split {split}")
        plans[split] = plan
    if not plans:
        raise FileNotFoundError("; ".join(missing))
    result.deviations += missing
    return plans


def _sources(plan: Plan) -> list[dict[str, Any]]:
    found = []
    for path in plan.annotation_files:
        size, digest = plan.tree.sha256(path)
        found.append({"file": plan.tree.full(path), "bytes": size, "sha256": digest})
    return found


def _fingerprint(converter: Converter, split: str, plan: Plan, sources: Any, size: int) -> str:
    digest = hashlib.sha256(to_json([FORMAT, converter.name, split, size, sources]).encode())
    for item in plan.items:
        digest.update(f"{item.sample_id}\0{item.payload!r}\0".encode())
    return digest.hexdigest()


def _build_split(
    converter: Converter,
    split: str,
    plan: Plan,
    folder: Path,
    size: int,
    workers: int,
    overwrite: bool,
    progress: bool,
    result: BuildResult,
) -> dict[str, Any]:
    """Write the missing shards of a split; its report."""
    sources = _sources(plan)
    fingerprint = _fingerprint(converter, split, plan, sources, size)
    starts = range(0, len(plan.items), size)
    paths = [folder / DATA / shard_name(split, number, len(starts)) for number in range(len(starts))]
    parts = [plan.items[start : start + size] for start in starts]
    finished = _finished(folder, split, paths, fingerprint, overwrite)
    open_parts = {path: part for path, part in zip(paths, parts, strict=True) if path not in finished}
    result.kept += len(finished)
    result.made += len(open_parts)
    with tqdm(total=len(plan.items), desc=f"{converter.name} {split}", unit="row", disable=not progress) as bar:
        bar.update(len(plan.items) - sum(len(part) for part in open_parts.values()))
        for path, summary in _convert(plan.reader, open_parts, fingerprint, workers):
            finished[path] = summary
            bar.update(len(open_parts[path]))
    remarks = plan.remarks
    counts = dict.fromkeys(MEASURES, 0)
    shards = []
    for path in paths:
        summary = finished[path]
        remarks.merge(Remarks.from_dict(summary["remarks"]))
        for measure in MEASURES:
            counts[measure] += summary["counts"][measure]
        shards.append({"file": f"{DATA}/{path.name}", "rows": summary["counts"]["rows"], "sha256": file_digest(path)})
    return {
        "dataset": converter.name,
        "split": split,
        "format": FORMAT,
        "version": __version__,
        "fingerprint": fingerprint,
        "counts": counts,
        "remarks": remarks.to_dict(),
        "sources": sources,
        "shards": shards,
    }


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finished(
    folder: Path, split: str, paths: Sequence[Path], fingerprint: str, overwrite: bool
) -> dict[Path, dict[str, Any]]:
    """The shards that are whole and of this build, with their summaries. Leftovers of a killed build are removed."""
    data = folder / DATA
    for leftover in data.glob(f".{split}-*.parquet"):
        leftover.unlink(missing_ok=True)
    found = {}
    for path in sorted(data.glob(f"{split}-*.parquet")):
        summary = read_summary(path) if path in paths else None
        if summary is not None and summary["fingerprint"] == fingerprint:
            found[path] = summary
        elif overwrite:
            path.unlink()
        else:
            raise UsageError(
                f"`output`: {path} is of another build (other source, options or version); name another "
                "folder or give `overwrite`"
            )
    return found


def _convert(
    reader: RowReader, parts: dict[Path, list[Item]], fingerprint: str, workers: int
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Write shards, and give each with its summary as it is finished."""
    if workers == 1 or len(parts) < 2:
        for path, part in parts.items():
            yield path, write_shard(reader, part, path, fingerprint)
        return
    # Fresh processes: forked ones would share locks with the threads of pyarrow.
    pool = ProcessPoolExecutor(min(workers, len(parts)), get_context("spawn"), _end_with_parent, (os.getpid(),))
    waiting = iter(parts.items())
    running: dict[Future[dict[str, Any]], Path] = {}
    try:
        while True:
            while len(running) < 2 * workers and (task := next(waiting, None)) is not None:
                running[pool.submit(write_shard, reader, task[1], task[0], fingerprint)] = task[0]
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                path = running.pop(future)
                try:
                    summary = future.result()
                except BrokenProcessPool as error:
                    raise UsageError(
                        f"`workers`: a process was killed while shards such as {path.name} were written (out of "
                        "memory?); run the same command again to go on, with fewer workers"
                    ) from error
                except ValueError as error:
                    raise UsageError(str(error)) from error
                yield path, summary
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent(parent: int) -> None:
    """End this process soon after its parent was killed: nobody else would."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
