"""The part of `uniref evaluate` that measures a model on a data set other than the procedural world."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from ....core.json_writing import to_json
from ....evaluation.benchmarks import BENCHMARKS, DRAWN, PRESETS, WORLD_GENERALISED, Benchmark
from ...errors import UserError, translated


def add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options that only these data sets have."""
    group = parser.add_argument_group(
        "data sets", "docs/evaluation.md; for several processes: accelerate launch -m transformers_uniref evaluate ..."
    )
    group.add_argument(
        "--source",
        metavar="DIR",
        help="what `uniref data build` wrote (for davis-like: <sequence>/frames/*.jpg, <sequence>/masks/*.png)",
    )
    group.add_argument(
        "--preset",
        choices=PRESETS,
        help="paper: sizes, score gates and references of the released code (default: the model's own)",
    )
    group.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder for masks, per-sample results and reports; the same command goes on where it was stopped",
    )
    group.add_argument("--shots", type=int, metavar="N", help="examples of a few-shot question (default: 1)")
    group.add_argument(
        "--targets",
        choices=("one", "all"),
        help="of sentences that may mean several objects or none: one measures the best object of each, all every "
        f"object behind the gate, by other measures (default: one; all for {WORLD_GENERALISED})",
    )
    group.add_argument("--limit", type=int, metavar="N", help="the first N samples alone")


def _dataset(benchmark: Benchmark, arguments: argparse.Namespace) -> Any:
    """What is measured on: the folder that was given, or the drawn scenes."""
    from ....evaluation.world_rows import DrawnRows

    if benchmark.name in DRAWN:
        given = {"seed": arguments.seed, "images": arguments.images, "size": arguments.size}
        options = {name: value for name, value in given.items() if value is not None}
        return DrawnRows(benchmark.checked_split(arguments.split), **options)
    if arguments.source is None:
        raise UserError(f"--source is needed for {benchmark.name}: the folder that uniref data build wrote")
    return arguments.source


def run_dataset(arguments: argparse.Namespace) -> int:
    """Prints a table to standard output; with `--json` the summary there, and the table to standard error.

    The exit code is 1 if the check of a submission finds a problem.
    """
    from ....core.families import DEFAULT_CHECKPOINT
    from ....core.processes import launched_processes
    from ....core.provenance import weights_fingerprint
    from ....evaluation.clips.metadata import read_names
    from ....evaluation.dataset_evaluation import evaluate_dataset
    from ....evaluation.dataset_report import result_table
    from ...loading import introduce_model, load_model_and_processor, model_folder
    from ..main import FAILED
    from ..option_names import option_names
    from .masks import add_mask_arguments

    benchmark = BENCHMARKS[arguments.dataset]
    dataset = _dataset(benchmark, arguments)
    unseen = None if arguments.unseen is None else read_names(arguments.unseen, "unseen")
    processes = launched_processes("eval", "evaluating")
    device = arguments.device
    if device is None and processes.device is not None:
        device = str(processes.device)
    model, processor = load_model_and_processor(arguments.model, device, arguments.dtype)
    if processes.is_main:
        introduce_model(arguments)
    started = time.perf_counter()
    summary = evaluate_dataset(
        model,
        processor,
        dataset,
        benchmark.name,
        split=arguments.split,
        preset=arguments.preset,
        output=arguments.output,
        threshold=arguments.threshold,
        shots=arguments.shots,
        seed=0 if arguments.seed is None else arguments.seed,
        limit=arguments.limit,
        targets=arguments.targets,
        unseen=unseen,
        meta=arguments.meta,
        model_name=arguments.model or DEFAULT_CHECKPOINT.name,
        weights=weights_fingerprint(model_folder(arguments.model)),
        progress=not arguments.quiet,
    )
    if processes.is_main:
        names = option_names(add_mask_arguments)  # notes tell of these options alone
        summary["notes"] = [translated(note, names) for note in summary["notes"]]
        print(result_table(summary), file=sys.stderr if arguments.json else sys.stdout)
        many = f" on {processes.count} processes" if processes.count > 1 else ""
        if not arguments.quiet:
            print(f"measured in {time.perf_counter() - started:.0f} seconds{many}", file=sys.stderr)
        if arguments.output is not None and not arguments.quiet:
            print(f"results are in {arguments.output}", file=sys.stderr)
        if arguments.json:
            print(to_json(summary))
    submission = summary.get("submission")
    if submission is None or submission["valid"]:
        return 0
    if processes.is_main:
        print(f"uniref: error: {submission['path']} has {len(submission['problems'])} problem(s)", file=sys.stderr)
    return FAILED
