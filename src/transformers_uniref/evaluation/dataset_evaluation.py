"""Measuring a model on a data set: block by block, on one or several processes, resumable."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import alone
from ..core.errors import UsageError
from ..core.processes import Processes, launched_processes
from ..core.version import __version__
from ..processors.all_targets import Targets
from .benchmarks import Benchmark, find_benchmark
from .clips.answers import ClipAnswers
from .clips.blocks import ClipQuestions
from .clips.metadata import ClipMetadata
from .dataset_results import Results, gather_results
from .evaluated_rows import Rows, open_rows
from .image_blocks import BLOCK_ROWS, PictureQuestions
from .model_answers import ModelAnswers
from .question_settings import QuestionSettings, processor_with, settings_for
from .result_blocks import ResultBlocks, digest_of

MASKS = "masks"


@dataclass(frozen=True)
class _Job:
    """What is to be done, as every process knows it."""

    benchmark: Benchmark
    split: str
    rows: Rows
    settings: QuestionSettings
    blocks: list[list[int]]

    @property
    def scored(self) -> bool:
        return self.split in self.benchmark.splits


def evaluate_dataset(
    model: Any,
    processor: Any,
    dataset: Any,
    benchmark: str,
    *,
    split: str | None = None,
    preset: str | None = None,
    output: str | os.PathLike[str] | None = None,
    threshold: float | None = None,
    shots: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    targets: Targets | None = None,
    unseen: Collection[str] | None = None,
    meta: str | os.PathLike[str] | None = None,
    model_name: str | None = None,
    weights: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Asks a model about a data set and measures its answers by the rules of a benchmark.

    In processes that `accelerate launch` or torchrun started, each asks about its share, and all return the same. What
    is finished is kept in `output`, so that the same call goes on after an interruption.

    ```python
    result = evaluate_dataset(model, processor, "data/refcoco", "refcoco", split="testA", preset="paper")
    result["measures"]["oIoU"]
    ```

    Args:
        model: `UniRefModel` or `UniRefSamModel`.
        processor: its `UniRefProcessor`.
        dataset: folder of `uniref data build`, `datasets.Dataset` of one split, or list of rows (`data.schema`); for
            `davis-like` and `davis-like-unsupervised` a folder with `<sequence>/frames/*.jpg` and
            `<sequence>/masks/*.png`; for `world-generalised` and `world-everything` `evaluation.world_rows.DrawnRows`.
        benchmark: a name of `BENCHMARKS`: whose rules hold.
        split: default: the benchmark's first.
        preset: "paper" asks as the released code did (sizes, score gates, references); default: as the model and its
            processor say.
        output: folder for results; default: nothing is kept. Needed where only a server knows the answers.
        threshold: replaces the score gate, 0 for none.
        shots: examples of a few-shot question; default: 1.
        seed: draws the examples.
        limit: the first samples alone.
        targets: for sentences that may mean several objects or none: "one" measures the best object of each, "all"
            every object behind the gate, by other measures (`metrics.AllTargetsScores`). Default: "one", and "all" for
            `world-generalised`.
        unseen: for YouTube-VOS and LVOS, "CLIP", "CLIP/OBJECT" or (with `meta`) categories that were not trained on.
        meta: `meta.json` of the data set, for LVOS: in which frames an object is judged.
        model_name: of the model, for the results.
        weights: digest of the weights; default: computed.
        progress: show a bar on standard error, where it is a terminal.

    Returns:
        `dataset`, `title`, `split`, `task`, `protocol`, `settings`, `counts`, `measures` (fractions; empty where only a
        server knows), `further` (measures by other protocols), `details`, `notes`, and with a server `submission`.

    Raises:
        FileNotFoundError, TypeError, ValueError: naming the argument, what came, and what is accepted.
    """
    chosen = find_benchmark(benchmark)
    named_split = chosen.checked_split(split)
    if limit is not None and limit < 1:
        raise UsageError(f"`limit` must be at least 1, got {limit}")
    if output is None and named_split in chosen.server_splits:
        raise UsageError(f"`output` is needed for {chosen.name} {named_split}, whose answers only a server knows")
    settings = settings_for(chosen, model, processor, preset, threshold, shots, seed, targets)
    metadata = None if meta is None else ClipMetadata(meta)
    unseen = _unseen(chosen, unseen, metadata)
    rows = open_rows(chosen, dataset, named_split)
    count = min(len(rows.sample_ids), limit or len(rows.sample_ids))
    size = 1 if chosen.is_video else BLOCK_ROWS
    parts = [list(range(start, min(start + size, count))) for start in range(0, count, size)]
    job = _Job(chosen, named_split, rows, settings, parts)

    processes = launched_processes("eval", "evaluating")
    model.eval()
    if processes.device is not None and model.device.type == "cuda":
        model.to(processes.device)
    digest = weights if weights is not None else digest_of_weights(model)
    identity = {
        "dataset": chosen.name,
        "split": named_split,
        "samples": digest_of(rows.sample_ids[:count]),
        "count": count,
        "settings": settings.to_dict(),
        "meta": None if meta is None else hashlib.sha256(Path(meta).read_bytes()).hexdigest(),
        "weights": digest,
        "dtype": str(model.dtype).removeprefix("torch."),
        "version": __version__,
    }
    with _folder(output, processes) as folder:
        store = ResultBlocks(folder, identity)
        with _locked(folder) if processes.is_main else nullcontext():
            if processes.is_main:
                store.open()
                for leftover in (folder / MASKS).glob("**/.writing-*"):
                    shutil.rmtree(leftover)
            processes.wait()
            store.check_shared()
            _measure(job, store, model, processor, metadata, processes, progress)
            processes.wait()
            result: dict[str, Any] = {}
            if processes.is_main:
                content = [store.read(number) for number in range(len(job.blocks))]
                results = Results(
                    chosen, named_split, job.scored, settings, digest, model_name, count, len(rows.sample_ids)
                )
                result = gather_results(
                    results, content, rows, folder, unseen=unseen, keeps=output is not None, progress=progress
                )
            result = processes.from_main(result)
    return result


def _measure(
    job: _Job,
    store: ResultBlocks,
    model: Any,
    processor: Any,
    meta: ClipMetadata | None,
    processes: Processes,
    progress: bool,
) -> None:
    """This process's share of the blocks that are not there yet."""
    from tqdm import tqdm

    finished = store.finished()
    # All look before anyone writes: otherwise they would not share out the same list.
    processes.wait()
    waiting = processes.share([number for number in range(len(job.blocks)) if number not in finished])
    resized = processor_with(processor, job.settings)
    asks: Any
    if job.benchmark.is_video:
        answers = ClipAnswers(model, resized, job.settings)
        asks = ClipQuestions(job.benchmark, job.rows, answers, job.scored, store.folder / MASKS, meta)
    else:
        asks = PictureQuestions(job.benchmark, job.rows, ModelAnswers(model, resized), job.settings)
    total = sum(len(job.blocks[number]) for number in waiting)
    label = f"{job.benchmark.name} {job.split}" + (
        f" (1 of {processes.count} processes)" if processes.count > 1 else ""
    )
    # With None the bar shows on a terminal only.
    hidden = None if progress and processes.is_main else True
    with tqdm(total=total, desc=label, unit="", disable=hidden, leave=False) as bar:
        for number in waiting:
            block = job.blocks[number]
            store.write(number, asks.measure(block[0] if job.benchmark.is_video else block))
            bar.update(len(block))


def _unseen(benchmark: Benchmark, unseen: Collection[str] | None, meta: ClipMetadata | None) -> set[str] | None:
    if unseen is None:
        return None
    if not any(benchmark.rules(name).groups for name in benchmark.protocols):
        raise UsageError(f"`unseen` must not be given for {benchmark.name}, which knows no unseen categories")
    return {*unseen, *(meta.named_by(unseen) if meta is not None else ())}


@contextmanager
def _folder(output: str | os.PathLike[str] | None, processes: Processes) -> Iterator[Path]:
    """The folder that was given, or one for all processes that is removed in the end."""
    if output is not None:
        yield Path(output)
        return
    with tempfile.TemporaryDirectory(prefix="uniref-evaluate-") if processes.is_main else nullcontext() as name:
        yield Path(processes.from_main(name))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two runs must not share a folder."""
    lock = folder.parent / f".{folder.name}.lock"
    with alone(lock, f"`output` is being written to by another run: {folder}"):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def digest_of_weights(model: Any) -> str:
    """SHA-256 over the names and values of a model's weights, as they are now."""
    import torch

    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


__all__: Sequence[str] = ["MASKS", "digest_of_weights", "evaluate_dataset"]
