"""The front door of `uniref`: finds the verb's module, parses its options, and words what went wrong."""

from __future__ import annotations

import argparse
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ...core.version import __version__
from ..errors import FAILED, INTERRUPTED, USERS_MISTAKE, describe, is_failure, is_users_mistake
from .ending import interrupted_by_sigterm, stdout_is_lost
from .help_text import complete_help
from .option_names import option_names
from .suggestions import SuggestingParser

LESS_MEMORY = "smaller pictures, a smaller --batch-size or --dtype bfloat16 take less"

VERBS = (
    "demo",
    "segment",
    "track",
    "download",
    "verify",
    "convert",
    "export",
    "train",
    "evaluate",
    "annotate",
    "data",
    "push",
    "app",
    "completion",
)
"""In the order of `uniref --help`. Each is a module beside this one with a line `HELP`, command lines `EXAMPLES`, a
function `add_arguments(parser)` and a function `run(arguments)` that returns the exit code and imports what it
needs; perhaps `NAMES`, its words for arguments of the library that no option of that name gives."""


def available_verbs() -> list[str]:
    """The verbs whose modules are there."""
    return [verb for verb in VERBS if Path(__file__).with_name(f"{verb}.py").is_file()]


def _verb_module(verb: str) -> ModuleType:
    return import_module(f".{verb}", __package__)


def build_parser(verbs: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of these verbs; only their modules are imported."""
    parser = SuggestingParser(
        prog="uniref",
        description="Segment what a sentence or an example mask refers to, in images and videos.",
        epilog="uniref VERB --help explains a verb and shows examples.",
    )
    parser.add_argument("--version", action="version", version=f"uniref {__version__}")
    parser.set_defaults(debug=False)
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    examples: dict[str, Sequence[str]] = {}
    for verb in verbs:
        module = _verb_module(verb)
        description = f"{module.HELP[0].upper()}{module.HELP[1:]}."
        subparser = subparsers.add_parser(verb, help=module.HELP, description=description)
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
        examples[verb] = module.EXAMPLES
    complete_help(parser, examples)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `uniref`.

    Args:
        arguments: without the program's name; default: the command line's.

    Returns:
        The exit code: 0 done, 1 failed, 2 for a user's mistake, 130 when interrupted (Ctrl-C, SIGTERM). What is not 0
        comes with one line on standard error, and with `--debug` also with the traceback.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with interrupted_by_sigterm(), warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                return _run(given)
            finally:
                sys.stdout.flush()
    except KeyboardInterrupt:
        print("uniref: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        return _report(error, given)


def _run(given: list[str]) -> int:
    verb = _verb(given)
    # With a known verb the others' modules need not be imported.
    parsed = build_parser(available_verbs() if verb is None else [verb]).parse_args(given)
    if getattr(parsed, "download", False):
        from .download import fetch_if_wanted

        fetch_if_wanted(parsed)
    return int(parsed.run(parsed))


def _verb(given: list[str]) -> str | None:
    """The verb on a command line; None without one that is known."""
    verb = next((word for word in given if not word.startswith("-")), None)
    return verb if verb in available_verbs() else None


def _told(error: Exception, given: list[str]) -> str:
    """The error in one line, with the verb's options where the library names arguments."""
    verb = _verb(given)
    if verb is None:
        return describe(error, less_memory=LESS_MEMORY)
    module = _verb_module(verb)
    return describe(error, option_names(module.add_arguments, getattr(module, "NAMES", None)), LESS_MEMORY)


def _report(error: Exception, given: list[str]) -> int:
    """Says what went wrong, and returns the exit code."""
    if stdout_is_lost() and isinstance(error, BrokenPipeError):
        return FAILED  # whoever read the output has stopped, as `head` does, and knows
    debug = "--debug" in given
    if debug:
        traceback.print_exception(error)
    if is_users_mistake(error):
        print(f"uniref: error: {_told(error, given)}", file=sys.stderr)
        return USERS_MISTAKE
    if is_failure(error):
        print(f"uniref: failed: {_told(error, given)}", file=sys.stderr)
        return FAILED
    hint = "" if debug else "; run with --debug for the traceback"
    print(f"uniref: defect of the program: {type(error).__name__}: {describe(error)}{hint}", file=sys.stderr)
    return FAILED


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"uniref: warning: {' '.join(str(message).split())}", file=sys.stderr)
