"""`uniref verify`: whether a model works on this machine, how fast, and how near the published figures."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.json_writing import to_json
from ..errors import FAILED, UserError, translated
from ..loading import DTYPES, add_quiet_argument, choose_device, load_model_and_processor
from .option_names import option_names

if TYPE_CHECKING:
    from ...verification.trial import Trial

HELP = "load a model, answer pictures and a clip, compare with the released code; speed and memory"
EXAMPLES = (
    "uniref verify uniref-pp",
    "uniref verify uniref-pp-r50 --output out/verify",
    "uniref verify uniref-pp-r50 --source data --output out/paper",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.add_argument(
        "model", metavar="NAME", help="a name that `uniref download --list` shows, a folder or a Hub id"
    )
    parser.add_argument(
        "--source",
        type=Path,
        metavar="DIR",
        help="folder of data sets, each in a folder of its name as `uniref data build` writes it: the paper's table is "
        "measured row by row",
    )
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for pictures of the answers, and for results"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="with --source, the first N samples of each row alone")
    parser.add_argument("--download", action="store_true", help="fetch the authors' weights where they are not here")
    parser.add_argument("--device", metavar="NAME", help="where to compute: cpu, cuda, cuda:1, mps")
    parser.add_argument("--dtype", choices=DTYPES, metavar="TYPE", help=f"one of {', '.join(DTYPES)}")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Verifies; the exit code is 1 if this machine does not compute what the released code computed."""
    import torch

    from ...core.released_models import RELEASED_BY_NAME
    from ...verification.released_numbers import compare_with_released_code
    from ...verification.trial import overlap, peak_memory, try_model

    weights = RELEASED_BY_NAME.get(arguments.model)
    if arguments.source is not None and (weights is None or not weights.figures):
        raise UserError(f"--source: nothing was published for {arguments.model}; uniref evaluate measures any model")
    if arguments.source is not None and not arguments.source.is_dir():
        raise UserError(f"--source must be a folder of data sets, got {arguments.source}")

    def say(line: str) -> None:
        if not arguments.quiet:
            print(f"uniref: {line}", file=sys.stderr)

    started = time.perf_counter()
    model, processor = load_model_and_processor(arguments.model, arguments.device, arguments.dtype)
    loaded = time.perf_counter() - started
    trials = try_model(model, processor, say)
    memory = peak_memory()
    if model.dtype != torch.float32:
        say("the same in float32")
        exact, _ = load_model_and_processor(arguments.model, arguments.device, "float32")
        masks = [trial.found.mask for trial in try_model(exact, processor)]
        trials = [
            replace(trial, exact_iou=overlap(trial.found.mask, mask)) for trial, mask in zip(trials, masks, strict=True)
        ]
        del exact
    say("the released code's numbers")
    comparisons = compare_with_released_code(choose_device(arguments.device))
    rows = []
    if arguments.source is not None:
        from ...verification.published_table import measure_published

        assert weights is not None
        rows = measure_published(
            weights, model, processor, arguments.source, output=arguments.output, limit=arguments.limit, tell=say
        )
        names = option_names(add_arguments)
        rows = [replace(row, note=translated(row.note, names)) for row in rows]
    if arguments.output is not None:
        _draw(trials, arguments.output)
    equal = all(comparison.is_equal for comparison in comparisons)
    result: dict[str, Any] = {
        "model": arguments.model,
        "type": type(model).__name__,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "device": str(model.device),
        "dtype": str(model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "load_seconds": loaded,
        "peak_bytes": memory,
        "answers": [trial.summary() for trial in trials],
        "released_code": [asdict(comparison) | {"equal": comparison.is_equal} for comparison in comparisons],
        "equal_to_released_code": equal,
        "published": [asdict(row) for row in rows],
    }
    if arguments.json:
        print(to_json(result))
    else:
        _print(result)
    return 0 if equal else FAILED


def _print(result: dict[str, Any]) -> None:
    print(
        f"{result['model']}: {result['type']}, {result['parameters'] / 1e6:.0f} million parameters, on "
        f"{result['device']} in {result['dtype']}, {result['threads']} thread(s)"
    )
    memory = f"{result['peak_bytes'] / 1e9:.1f} GB"
    print(f"loaded in {result['load_seconds']:.1f} s; at most {memory} of memory while answering\n")
    print(f"{'answer':<58}{'score':>7}{'of picture':>12}{'seconds':>9}{'':>3}")
    for trial in result["answers"]:
        score = "" if trial["score"] is None else f"{trial['score']:.2f}"
        exact = "" if trial["exact_iou"] is None else f"   IoU {trial['exact_iou']:.2f} with float32"
        print(f"{trial['question']:<58}{score:>7}{trial['share']:>11.1%}{trial['seconds']:>9.2f}{exact}")
    print(f"\n{'a small model of this architecture, in float32':<58}{'off by':>10}{'allowed':>10}")
    for row in result["released_code"]:
        verdict = "equal" if row["equal"] else "DIFFERENT"
        print(f"{row['what']:<58}{row['difference']:>10.1e}{row['allowed']:>10.0e}  {verdict}")
    if result["equal_to_released_code"]:
        print("This machine computes what the released code computed.")
    else:
        print("This machine computes something else than the released code did: please report it.")
    if result["published"]:
        print(f"\n{'data set':<24}{'split':<8}{'measure':<9}{'published':>10}{'here':>8}")
        for row in result["published"]:
            figure, measured = row["figure"], row["measured"]
            here = f"{measured:.1f}" if measured is not None else "-"
            note = f"  {row['note']}" if row["note"] else ""
            print(
                f"{figure['title']:<24}{figure['split']:<8}{figure['measure']:<9}{figure['value']:>10g}{here:>8}{note}"
            )


def _draw(trials: list[Trial], folder: Path) -> None:
    from PIL import Image

    from ...media.overlays import overlay_masks

    folder.mkdir(parents=True, exist_ok=True)
    for number, trial in enumerate(trials, start=1):
        Image.fromarray(overlay_masks(trial.picture, [trial.found.mask])).save(folder / f"answer-{number}.png")
