"""The parts of `uniref evaluate` that need no model: scoring masks, and checking a submission."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from ....core.json_writing import to_json
from ....evaluation.definitions import PROTOCOL_NAMES
from ...errors import FAILED, UserError, translated


def add_mask_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    scoring = parser.add_argument_group("masks of any method")
    scoring.add_argument(
        "--predictions", metavar="DIR", help="score the masks DIR/<sequence>/<frame>.png, or those in a zip file"
    )
    scoring.add_argument("--annotations", metavar="DIR", help="the true masks, likewise")
    scoring.add_argument(
        "--protocol", metavar="NAME", help=f"whose rules hold (docs/protocols.md): {', '.join(PROTOCOL_NAMES)}"
    )
    scoring.add_argument("--binary", action="store_true", help="merge all ids into one object, as DAVIS 2016 does")
    scoring.add_argument(
        "--sequences",
        nargs="+",
        metavar="NAME",
        help="score these alone; one name that is a text file stands for the names in its lines",
    )
    scoring.add_argument(
        "--unseen",
        metavar="FILE",
        help="for youtube-vos and lvos: a text file with a line SEQUENCE, SEQUENCE OBJECT, or (with --meta) a category "
        "for everything that was not trained on",
    )
    scoring.add_argument("--meta", metavar="FILE", help="meta.json of the data set: categories, frame ranges (LVOS)")
    scoring.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    checking = parser.add_argument_group("a submission to an evaluation server")
    checking.add_argument("--check", metavar="ZIP", help="say whether a server would take this file, and what is wrong")
    checking.add_argument(
        "--server",
        metavar="NAME",
        help="youtube-vos, ref-youtube-vos, mevis, lvos or mose (default: the one whose layout the file has)",
    )
    checking.add_argument(
        "--reference",
        metavar="PATH",
        help="the benchmark's folder of the split, or its JSON file: which videos, frames, sizes and ids there are",
    )


def run_scoring(arguments: argparse.Namespace) -> int:
    """Prints a table to standard output; with `--json` the result there, and the table to standard error."""
    from ....evaluation.clips.metadata import read_names
    from ....evaluation.mask_report import score_table
    from ....evaluation.mask_scoring import score_masks

    for option in ("predictions", "annotations", "protocol"):
        if getattr(arguments, option) is None:
            hint = f": {', '.join(PROTOCOL_NAMES)}" if option == "protocol" else ""
            raise UserError(f"--{option} is needed to score masks{hint}")
    from ....metrics.video_protocols import PROTOCOLS

    sequences = arguments.sequences
    if sequences is not None and len(sequences) == 1 and os.path.isfile(sequences[0]):
        sequences = read_names(sequences[0], "sequences")
    unseen = None if arguments.unseen is None else read_names(arguments.unseen, "unseen")
    result = score_masks(
        arguments.predictions,
        arguments.annotations,
        arguments.protocol,
        binary=arguments.binary,
        sequences=sequences,
        unseen=unseen,
        meta=arguments.meta,
        workers=arguments.workers,
        progress=True,
    )
    print(score_table(result), file=sys.stderr if arguments.json else sys.stdout)
    if PROTOCOLS[arguments.protocol].groups and unseen is None:
        print("uniref: warning: G needs --unseen; J and F are means over all objects", file=sys.stderr)
    if arguments.json:
        print(to_json(result))
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Prints what was found to standard output, with `--json` as JSON. The exit code is 1 if there is a problem."""
    from ....evaluation.submission_check import check_submission
    from ..option_names import option_names

    report = check_submission(arguments.check, arguments.server, arguments.reference, progress=True)
    names = option_names(add_mask_arguments)
    report.warnings = [translated(warning, names) for warning in report.warnings]
    print(to_json(report.to_dict()) if arguments.json else report.text())
    if report.valid:
        return 0
    count = len(report.problems)
    plural = "s" if count > 1 else ""
    print(f"uniref: error: {Path(arguments.check).name} has {count} problem{plural}", file=sys.stderr)
    return FAILED
