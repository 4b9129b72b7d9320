"""`uniref data`: benchmarks as Hugging Face datasets, from their original downloads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ...core.json_writing import to_json
from ..errors import translated
from .option_names import option_names
from .publishing import add_push_arguments, output_and_hub_id, upload

HELP = "convert the downloads of benchmarks into datasets, and verify them"
EXAMPLES = (
    "uniref data list",
    "uniref data build davis-2017 --source downloads/DAVIS --output data/davis-2017",
    "uniref data verify data/davis-2017",
)

DEVIATES = 1
"""Exit code: the work is done, and something is not as published."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="name the benchmarks, their splits and tasks")
    listing.add_argument("--json", action="store_true", help="print the result as JSON on standard output")

    making = actions.add_parser(
        "build",
        help="convert a download",
        description="Convert a download into Parquet files with a card. Run again to go on after an interruption. Exit "
        f"code {DEVIATES}: it is built, and deviates from what its authors published.",
    )
    making.add_argument("name", metavar="NAME", help="of the benchmark; uniref data list names them")
    making.add_argument("--source", required=True, metavar="DIR", help="the original download (docs/data.md)")
    making.add_argument("--output", required=True, metavar="DIR|HUB_ID", help="folder; with --push also a Hub id")
    making.add_argument("--split", action="append", default=[], help="only this one; may be repeated (default: all)")
    making.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: 1)")
    making.add_argument("--rows-per-shard", type=int, metavar="N", help="rows of a Parquet file")
    making.add_argument("--overwrite", action="store_true", help="replace files of another build in --output")
    add_push_arguments(making, ". Nothing is uploaded that deviates, unless --allow-deviations is given")
    _add_common(making)

    checking = actions.add_parser("verify", help="read a built dataset again and check everything in it")
    checking.add_argument("folder", type=Path, metavar="DIR", help="written by uniref data build")
    _add_common(checking)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-deviations", action="store_true", help="exit with 0 although something deviates")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on standard output")


def run(arguments: argparse.Namespace) -> int:
    """0; or 1 where something deviates from the published data set, or is damaged."""
    return {"list": _list, "build": _build, "verify": _verify}[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from ...datasets.converters.registry import CONVERTERS

    entries = [
        {"name": c.name, "title": c.title, "tasks": list(c.tasks), "splits": list(c.splits), "homepage": c.homepage}
        for c in CONVERTERS.values()
    ]
    if arguments.json:
        print(to_json({"datasets": entries}))
        return 0
    for entry in entries:
        print(f"{entry['name']:24} {', '.join(entry['tasks']):20} {', '.join(entry['splits'])}")
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from ...datasets.converters.build import build
    from ...datasets.converters.registry import find_converter

    converter = find_converter(arguments.name)
    output, hub_id = output_and_hub_id(arguments.output, arguments.push)
    result = build(
        converter,
        arguments.source,
        output,
        arguments.split,
        workers=arguments.workers,
        rows_per_shard=arguments.rows_per_shard,
        overwrite=arguments.overwrite,
        progress=sys.stderr.isatty(),
    )
    counts = {split: report["counts"] for split, report in result.reports.items()}
    for split, values in counts.items():
        print(f"{split}: {', '.join(f'{n:,} {m}' for m, n in values.items() if n)}", file=sys.stderr)
    print(f"{result.folder}: {result.made} shard(s) written, {result.kept} found finished", file=sys.stderr)
    names = option_names(add_arguments)
    result.deviations = [translated(line, names) for line in result.deviations]
    code = _say(result.notes, result.deviations, arguments.allow_deviations)
    address = None
    if hub_id and code == 0:
        address = upload(result.folder, hub_id, arguments.public, "Upload the data set converted by uniref data build")
    elif hub_id:
        print("not uploaded; --allow-deviations uploads it as it is", file=sys.stderr)
    _print_json(
        arguments,
        {
            "output": str(result.folder),
            "counts": counts,
            "notes": result.notes,
            "deviations": result.deviations,
            "uploaded": address,
        },
    )
    return code


def _verify(arguments: argparse.Namespace) -> int:
    from tqdm.auto import tqdm

    from ...datasets.converters.verify import verify

    with tqdm(desc="verify", unit="row", disable=not sys.stderr.isatty()) as bar:
        found = verify(arguments.folder, bar.update)
    for line in found.confirmed:
        print(f"as published: {line}", file=sys.stderr)
    for line in found.problems:
        print(f"damaged: {line}", file=sys.stderr)
    code = _say(found.notes, found.deviations, arguments.allow_deviations)
    _print_json(
        arguments,
        {
            "dataset": found.dataset,
            "counts": found.counts,
            "confirmed": found.confirmed,
            "problems": found.problems,
            "notes": found.notes,
            "deviations": found.deviations,
        },
    )
    return DEVIATES if found.problems else code


def _say(notes: list[str], deviations: list[str], allowed: bool) -> int:
    for line in notes:
        print(f"note: {line}", file=sys.stderr)
    for line in deviations:
        print(f"deviation: {line}", file=sys.stderr)
    return DEVIATES if deviations and not allowed else 0


def _print_json(arguments: argparse.Namespace, values: dict[str, Any]) -> None:
    if arguments.json:
        print(to_json(values))
