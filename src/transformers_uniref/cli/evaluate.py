"""`uniref evaluate`: how well a model does all four tasks, or any method's masks follow the truth, in numbers."""

from __future__ import annotations

import argparse
import json
import sys
import time

from ..evaluation.definitions import CLIP_FRAMES, TEST_SEED, describe_measures
from ..registration import DEFAULT_CHECKPOINT
from .evaluate_masks import add_mask_arguments, run_check, run_scoring
from .loading import add_model_arguments

HELP = "measure a model on scenes that it was not trained on, score masks of any method, or check a submission"


_SCORING = {"predictions", "annotations", "protocol", "binary", "sequences", "unseen", "meta"}
_CHECKING = {"server", "reference"}
_MODEL = {"model"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = describe_measures()
    parser.add_argument("--dataset", choices=["world"], default="world", help="the procedural world (default)")
    parser.add_argument("--split", choices=["test", "validation"], default="test", help="default: test")
    parser.add_argument(
        "--seed",
        type=int,
        default=TEST_SEED,
        help=f"another number draws other scenes (default: {TEST_SEED}, of the published numbers)",
    )
    parser.add_argument(
        "--images",
        type=_at_least_one,
        default=400,
        metavar="N",
        help="pictures for sentences, and for each of three few-shot tests (default: 400)",
    )
    parser.add_argument(
        "--clips", type=_at_least_one, default=100, metavar="N", help=f"clips of {CLIP_FRAMES} frames (default: 100)"
    )
    parser.add_argument("--size", type=int, default=128, metavar="PIXELS", help="side of the pictures (default: 128)")
    parser.add_argument(
        "--batch-size", type=_at_least_one, default=16, metavar="N", help="pictures at a time (default: 16)"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="the score gate of absent_empty and present_nonempty (default: the model's own, score_threshold of its "
        "processor)",
    )
    add_model_arguments(parser)
    add_mask_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Prints a table to standard output; with `--json` the result there, and the table to standard error."""
    if arguments.check is not None:
        _refuse(arguments, "--check", _SCORING | _MODEL)
        return run_check(arguments)
    _refuse(arguments, "--check", _CHECKING, needs=True)
    if any(getattr(arguments, option) for option in _SCORING):
        _refuse(arguments, "--predictions", _MODEL)
        return run_scoring(arguments)
    return _run_world(arguments)


def _refuse(arguments: argparse.Namespace, option: str, others: set[str], needs: bool = False) -> None:
    """Raises UserError for an option that would be ignored."""
    from .errors import UserError

    for other in sorted(others):
        if getattr(arguments, other):
            verb = "needs" if needs else "does not go with"
            raise UserError(f"--{other} {verb} {option}")


def _run_world(arguments: argparse.Namespace) -> int:
    from ..evaluation.answers import ModelAnswers
    from ..evaluation.world import evaluate_world
    from ..hub.provenance import weights_fingerprint
    from .errors import UserError
    from .loading import load_model_and_processor, model_folder

    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold must be between 0 and 1, got {arguments.threshold}")
    model, processor = load_model_and_processor(arguments.model, arguments.device)
    if processor.tokenizer is None or not model.config.use_mask_references:
        lack = "tokenizer" if processor.tokenizer is None else "encoder of annotated examples"
        raise UserError(f"--model must do all four tasks, this one has no {lack}: {arguments.model}")
    started = time.perf_counter()
    report = evaluate_world(
        ModelAnswers(model, processor),
        split=arguments.split,
        seed=arguments.seed,
        images=arguments.images,
        clips=arguments.clips,
        size=arguments.size,
        batch_size=arguments.batch_size,
        threshold=processor.score_threshold if arguments.threshold is None else arguments.threshold,
        progress=True,
    )
    report.settings["model"] = arguments.model or DEFAULT_CHECKPOINT.name
    report.settings["weights"] = weights_fingerprint(model_folder(arguments.model))
    print(report.table(), file=sys.stderr if arguments.json else sys.stdout)
    print(f"measured in {time.perf_counter() - started:.0f} seconds", file=sys.stderr)
    if arguments.json:
        print(json.dumps(report.to_dict()))
    return 0


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {value}")
    return value
