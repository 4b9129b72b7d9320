"""The front door of `uniref`: finds the verb's module, parses its options, and words what went wrong."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TextIO

from .. import __version__
from .errors import describe, is_users_mistake

VERBS = ("demo", "segment", "track", "convert", "export", "train", "evaluate", "annotate", "data", "push", "app")
"""In the order of `uniref --help`. Each is a module beside this one with a line `HELP`, a function
`add_arguments(parser)` and a function `run(arguments)` that returns the exit code and imports what it needs."""

USERS_MISTAKE = 2
INTERRUPTED = 130


def available_verbs() -> list[str]:
    """The verbs whose modules are there."""
    return [verb for verb in VERBS if Path(__file__).with_name(f"{verb}.py").is_file()]


def _verb_module(verb: str) -> ModuleType:
    return import_module(f".{verb}", __package__)


def build_parser(verbs: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of these verbs; only their modules are imported."""
    parser = argparse.ArgumentParser(
        prog="uniref",
        description="Segment what a sentence or an example mask refers to, in images and videos.",
        epilog="uniref VERB --help explains a verb.",
    )
    parser.add_argument("--version", action="version", version=f"uniref {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in verbs:
        module = _verb_module(verb)
        description = f"{module.HELP[0].upper()}{module.HELP[1:]}."
        subparser = subparsers.add_parser(verb, help=module.HELP, description=description)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `uniref`.

    Args:
        arguments: without the program's name; default: the command line's.

    Returns:
        The exit code: 0, or 2 for a user's mistake (with one line on standard error), or 130 when interrupted.

    Raises:
        Exception: a defect, with its traceback.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    verbs = available_verbs()
    # With a known verb the others' modules need not be imported.
    parser = build_parser(given[:1] if given and given[0] in verbs else verbs)
    parsed = parser.parse_args(given)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            return int(parsed.run(parsed))
    except KeyboardInterrupt:
        print("uniref: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not is_users_mistake(error):
            raise
        print(f"uniref: error: {describe(error)}", file=sys.stderr)
        return USERS_MISTAKE


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"uniref: warning: {' '.join(str(message).split())}", file=sys.stderr)
