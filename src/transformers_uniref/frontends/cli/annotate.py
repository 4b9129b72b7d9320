"""`uniref annotate`: masks for a whole dataset."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.json_writing import to_json
from ..errors import UserError
from ..loading import (
    add_example_arguments,
    add_model_arguments,
    add_quiet_argument,
    introduce_model,
    load_model_and_processor,
)
from .publishing import add_push_arguments, output_and_hub_id, upload

if TYPE_CHECKING:
    from ...annotation.settings import AnnotationSettings
    from ...core.processes import Processes

HELP = "predict masks, scores and boxes for every row of a dataset"
EXAMPLES = (
    "uniref annotate pictures/ --text-column caption --output out/annotated",
    "uniref annotate pictures/ --reference-image example.jpg --reference-mask mask.png --output out/similar",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.epilog = (
        "Run again to go on after an interruption. Several processes: accelerate launch ... -m transformers_uniref "
        "annotate ... (docs/annotation.md)."
    )
    parser.add_argument(
        "dataset",
        metavar="DATASET",
        help="folder of pictures with metadata, folder saved by datasets, Parquet (folder, file, pattern), or Hub id",
    )
    parser.add_argument("--output", required=True, metavar="DIR|HUB_ID", help="folder; with --push also a Hub id")
    columns = parser.add_argument_group("what to look for, and where")
    columns.add_argument(
        "--text-column",
        metavar="NAME",
        help="column of a sentence or of a list of sentences, each an object of its own; NAME.FIELD for structures",
    )
    columns.add_argument("--image-column", metavar="NAME", help="column of the picture (default: the only one)")
    columns.add_argument(
        "--id-column", metavar="NAME", help="column of unique ids (default: sample_id or id, else rows are numbered)"
    )
    columns.add_argument(
        "--keep-column", action="append", default=[], metavar="NAME", help="copy this column too; may be repeated"
    )
    columns.add_argument("--split", metavar="NAME", help="default: the only one")
    columns.add_argument("--subset", metavar="NAME", help="configuration of a dataset that has several")
    columns.add_argument(
        "--targets",
        choices=("one", "all"),
        default="one",
        help="one: the best object of each sentence (default); all: every object that it means, none, one or many",
    )
    add_example_arguments(
        columns, "an example picture, the same for every row; may be repeated; with --text-column, both count"
    )
    work = parser.add_argument_group("how")
    add_model_arguments(parser, tuning=False)
    work.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="what scores this or less, 0 to 1, counts as absent and gets no mask; 0 gives every sentence one "
        "(default: the model's own gate)",
    )
    work.add_argument("--batch-size", type=int, default=8, metavar="N", help="pictures at a time (default: 8)")
    work.add_argument(
        "--shard-size", type=int, default=1000, metavar="N", help="rows of the input in a file (default: 1000)"
    )
    work.add_argument(
        "--max-bad-samples",
        type=int,
        default=0,
        metavar="N",
        help="skip up to so many rows without a readable picture or a sentence (default: 0)",
    )
    work.add_argument("--copy-images", action="store_true", help="write the pictures too, for training on the output")
    work.add_argument(
        "--streaming",
        action="store_true",
        help="stream formats other than Parquet (which always is) instead of preparing them in the cache of datasets",
    )
    work.add_argument("--overwrite", action="store_true", help="replace another annotation in --output")
    add_push_arguments(work, "")
    work.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    add_quiet_argument(work)


def run(arguments: argparse.Namespace) -> int:
    """Writes the shards; with `--json` what came of it goes to standard output, from the main process."""
    from ...core.processes import launched_processes

    settings = _settings(arguments)
    output, hub_id = output_and_hub_id(arguments.output, arguments.push)
    processes = launched_processes("train", "annotating")
    try:
        return _run(arguments, settings, Path(output), hub_id, processes)
    finally:
        processes.close()


def _run(
    arguments: argparse.Namespace,
    settings: AnnotationSettings,
    output: Path,
    hub_id: str | None,
    processes: Processes,
) -> int:
    from ...annotation.answering import ModelAnswering
    from ...annotation.columns import choose_columns
    from ...annotation.run import annotate
    from ...annotation.source import open_source
    from ...core.families import DEFAULT_CHECKPOINT
    from ...core.optional import require
    from ...core.provenance import hub_id as hub_id_of
    from ...core.score_gate import gate_of

    if processes.count > 1 and arguments.device is not None:
        raise UserError(f"--device does not go with several processes, each has its own; got {arguments.device}")
    show = processes.is_main and sys.stderr.isatty() and not arguments.quiet
    if not show:
        require("datasets", "data", "reading datasets").disable_progress_bars()
    source = open_source(arguments.dataset, arguments.split, arguments.subset, arguments.streaming)
    choose_columns(source.features, settings)  # before a model is loaded
    device = arguments.device if processes.device is None else str(processes.device)
    model, processor = load_model_and_processor(arguments.model, device, arguments.dtype)
    if processes.is_main:
        introduce_model(arguments)
    model_name = arguments.model or DEFAULT_CHECKPOINT.name
    # As a number, so that the plan and the card tell it.
    gate = gate_of(settings.threshold, processor.picture_gate(settings.targets))
    settings = replace(settings, threshold=gate or 0)
    result = annotate(
        source,
        ModelAnswering(model, processor, settings),
        settings,
        output,
        # A Hub id, or the last part of a folder's name: its path is nobody's business.
        model_name=hub_id_of(model_name) or Path(model_name).resolve().name,
        processes=processes,
        overwrite=arguments.overwrite,
        progress=show,
        report=lambda line: print(line, file=sys.stderr),
    )
    if not processes.is_main:
        return 0
    counts = result.counts
    if not arguments.quiet:
        print(
            f"{counts['rows']:,} rows, {counts['sentences']:,} sentences, {counts['objects']:,} objects above "
            f"{settings.threshold:g}, {len(result.bad)} skipped",
            file=sys.stderr,
        )
        print(f"written: {output} ({result.kept} shard(s) found finished)", file=sys.stderr)
    address = None
    if hub_id is not None:
        address = upload(output, hub_id, arguments.public, "Upload the annotation made by uniref annotate")
    if arguments.json:
        summary = {"output": str(output), **counts, "shards_found_finished": result.kept}
        print(to_json({**summary, "skipped": result.bad, "uploaded": address}))
    return 0


def _settings(arguments: argparse.Namespace) -> AnnotationSettings:
    from ...annotation.settings import AnnotationSettings
    from ...core.mask_reading import read_mask
    from ...core.picture_input import rgb_array

    return AnnotationSettings(
        text_column=arguments.text_column,
        image_column=arguments.image_column,
        id_column=arguments.id_column,
        keep_columns=tuple(arguments.keep_column),
        reference_images=[rgb_array(file, "reference_images") for file in arguments.reference_image],
        reference_masks=[read_mask(file, "reference_masks").values for file in arguments.reference_mask],
        threshold=arguments.threshold,
        targets=arguments.targets,
        copy_images=arguments.copy_images,
        shard_size=arguments.shard_size,
        batch_size=arguments.batch_size,
        max_bad_samples=arguments.max_bad_samples,
    )
