"""`uniref evaluate`: how well a model does, in the drawn world or on a data set, or any method's masks, in numbers."""

from __future__ import annotations

import argparse
import sys
import time

from ...core.families import DEFAULT_CHECKPOINT
from ...core.json_writing import to_json
from ...evaluation.benchmarks import BENCHMARKS, DRAWN
from ...evaluation.definitions import CLIP_FRAMES, TEST_SEED, describe_measures
from ..errors import UserError
from ..loading import add_model_arguments, add_quiet_argument, introduce_model, load_model_and_processor, model_folder
from .evaluation.dataset import add_dataset_arguments, run_dataset
from .evaluation.masks import add_mask_arguments, run_check, run_scoring
from .option_types import at_least_one

HELP = "measure a model on drawn scenes or a data set, score masks of any method, or check a submission"
EXAMPLES = (
    "uniref evaluate --dataset world --images 40 --clips 10 --json",
    "uniref evaluate --dataset world-generalised --images 100",
    "uniref evaluate --dataset world-everything --images 100",
    "uniref evaluate --dataset world-points --images 40",
    "uniref evaluate --dataset world-sound --images 40 --clips 10 --model runs/sound/model",
    "uniref evaluate --dataset davis-2017 --source data/davis-2017 --preset paper --output runs/davis",
    "uniref evaluate --predictions masks/ --annotations DAVIS/Annotations --protocol davis-semi-supervised",
    "uniref evaluate --check submission.zip --server mose",
)

NAMES = {"dataset": "--source", "benchmark": "--dataset"}

WORLD, WORLD_POINTS, SOUND = "world", "world-points", "world-sound"
_WORLD_SPLITS = ("test", "validation")
_WORLD_DEFAULTS = {"seed": TEST_SEED, "images": 400, "clips": 100, "size": 128, "batch_size": 16}
_SCORING = {"predictions", "annotations", "protocol", "binary", "sequences"}
_OF_CLIPS = {"unseen", "meta"}
_CHECKING = {"server", "reference"}
_OF_DATASETS = {"source", "preset", "output", "shots", "limit", "targets"}
_OF_THE_WORLD = {"clips", "batch_size"}
_MODEL = {"model", "dtype", *_OF_DATASETS}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = describe_measures()
    parser.add_argument(
        "--dataset",
        choices=[WORLD, WORLD_POINTS, SOUND, *BENCHMARKS],
        default=WORLD,
        metavar="NAME",
        help=f"{WORLD}, the procedural world (default), {WORLD_POINTS}, its objects pointed at, {SOUND}, its sounds, "
        f"or a data set: {', '.join(BENCHMARKS)}",
    )
    parser.add_argument(
        "--split", metavar="NAME", help="default: test of the world, else the first with public answers, such as val"
    )
    parser.add_argument(
        "--seed",
        type=int,
        help=f"another number draws other scenes (default: {TEST_SEED}, of the published numbers), or other few-shot "
        "examples (default: 0)",
    )
    parser.add_argument(
        "--images",
        type=at_least_one,
        metavar="N",
        help="pictures for sentences, and for each of three few-shot tests (default: 400)",
    )
    parser.add_argument("--clips", type=at_least_one, metavar="N", help=f"clips of {CLIP_FRAMES} frames (default: 100)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of the pictures (default: 128)")
    parser.add_argument("--batch-size", type=at_least_one, metavar="N", help="pictures at a time (default: 16)")
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="the score gate of absent_empty and present_nonempty (default: the model's own, score_threshold of its "
        "processor), or of all answers about a data set",
    )
    add_dataset_arguments(parser)
    add_model_arguments(parser, tuning=False)
    add_mask_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table to standard output; with `--json` the result there, and the table to standard error."""
    if arguments.check is not None:
        _refuse(arguments, "--check", _SCORING | _OF_CLIPS | _MODEL)
        return run_check(arguments)
    _refuse(arguments, "--check", _CHECKING, needs=True)
    if arguments.dataset == WORLD_POINTS:
        _refuse(arguments, f"--dataset {WORLD_POINTS}", {*_SCORING, *_OF_CLIPS, *_OF_DATASETS, *_OF_THE_WORLD})
        return _run_points(arguments)
    on_dataset = arguments.dataset not in (WORLD, SOUND)
    scoring = _SCORING if on_dataset else _SCORING | _OF_CLIPS
    if any(getattr(arguments, option) for option in scoring):
        _refuse(arguments, "--predictions", _MODEL)
        return run_scoring(arguments)
    if on_dataset:
        drawn = arguments.dataset in DRAWN
        others = {"source", *_OF_THE_WORLD} if drawn else {"images", "size", *_OF_THE_WORLD}
        _refuse(arguments, f"--dataset {arguments.dataset}", others)
        return run_dataset(arguments)
    _refuse(arguments, f"--dataset {arguments.dataset}", _OF_DATASETS)
    return _run_world(arguments)


def _refuse(arguments: argparse.Namespace, option: str, others: set[str], needs: bool = False) -> None:
    """Raises UserError for an option that would be ignored."""
    for other in sorted(others):
        if getattr(arguments, other):
            verb = "needs" if needs else "does not go with"
            raise UserError(f"--{other.replace('_', '-')} {verb} {option}")


def _run_world(arguments: argparse.Namespace) -> int:
    from ...core.provenance import weights_fingerprint
    from ...evaluation.model_answers import ModelAnswers
    from ...evaluation.world import evaluate_world
    from ...evaluation.world_sound import evaluate_sounds

    split = arguments.split or _WORLD_SPLITS[0]
    if split not in _WORLD_SPLITS:
        raise UserError(f"--split: invalid choice: {split!r} (the world has {', '.join(_WORLD_SPLITS)})")
    for name, default in _WORLD_DEFAULTS.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, default)
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold must be between 0 and 1, got {arguments.threshold}")
    model, processor = load_model_and_processor(arguments.model, arguments.device, arguments.dtype)
    hears = arguments.dataset == SOUND
    if hears and processor.audio_extractor is None:
        name = arguments.model or DEFAULT_CHECKPOINT.name
        raise UserError(f"--model must hear, this one has no audio encoder (see docs/sound.md): {name}")
    if not hears and (processor.tokenizer is None or not model.config.use_mask_references):
        lack = "tokenizer" if processor.tokenizer is None else "encoder of annotated examples"
        raise UserError(f"--model must do all four tasks, this one has no {lack}: {arguments.model}")
    introduce_model(arguments)
    started = time.perf_counter()
    options = {name: getattr(arguments, name) for name in ("seed", "images", "clips", "size", "threshold")}
    options |= {"split": split, "progress": not arguments.quiet}
    if hears:
        report = evaluate_sounds(model, processor, **options)
    else:
        report = evaluate_world(ModelAnswers(model, processor), batch_size=arguments.batch_size, **options)
    report.settings["dtype"] = str(model.dtype).removeprefix("torch.")
    report.settings["model"] = arguments.model or DEFAULT_CHECKPOINT.name
    report.settings["weights"] = weights_fingerprint(model_folder(arguments.model))
    print(report.table(), file=sys.stderr if arguments.json else sys.stdout)
    if not arguments.quiet:
        print(f"measured in {time.perf_counter() - started:.0f} seconds", file=sys.stderr)
    if arguments.json:
        print(to_json(report.to_dict()))
    return 0


def _run_points(arguments: argparse.Namespace) -> int:
    from ...core.provenance import weights_fingerprint
    from ...evaluation.world_points import evaluate_points, points_table

    asked = {"split": arguments.split, "seed": arguments.seed, "images": arguments.images, "size": arguments.size}
    asked = {name: value for name, value in asked.items() if value is not None}
    model, processor = load_model_and_processor(arguments.model, arguments.device, arguments.dtype)
    introduce_model(arguments)
    tally = evaluate_points(model, processor, **asked, progress=not arguments.quiet)
    print(points_table(tally), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        measures = {name: {"value": tally.value(name), "count": tally.count(name)} for name in tally.names()}
        settings = {
            **asked,
            "dataset": WORLD_POINTS,
            "model": arguments.model or DEFAULT_CHECKPOINT.name,
            "weights": weights_fingerprint(model_folder(arguments.model)),
        }
        print(to_json({"points": measures, "settings": settings}))
    return 0
