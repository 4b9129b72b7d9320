"""What all parsers of `uniref` have in common: examples at the end of their help, and the option `--debug`."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence


def complete_help(parser: argparse.ArgumentParser, examples: Mapping[str, Sequence[str]]) -> None:
    """Gives every parser `--debug`, and its help the examples that call it; the outermost one gets one of each verb.

    Examples are whole command lines, by verb.
    """
    for each in all_parsers(parser):
        each.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,  # or the inner parser's default would overwrite what the outer one was given
            help="show the traceback of an error",
        )
        if each is parser:
            own = [lines[0] for lines in examples.values() if lines]
        else:
            own = [line for lines in examples.values() for line in lines if f" {each.prog} " in f" {line} "]
        _add_examples(each, own)


def all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its verbs and their actions."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from all_parsers(inner)


def _add_examples(parser: argparse.ArgumentParser, examples: Sequence[str]) -> None:
    # A raw epilog keeps its lines, but a parser that keeps those keeps those of the description as well.
    if parser.formatter_class is not argparse.RawDescriptionHelpFormatter:
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = _wrap(parser.epilog)
    parser.description = _wrap(parser.description)
    if examples:
        word = "example" if len(examples) == 1 else "examples"
        shown = "\n".join([f"{word}:", *(f"  {line}" for line in examples)])
        parser.epilog = f"{parser.epilog}\n\n{shown}" if parser.epilog else shown


def _wrap(text: str | None) -> str | None:
    """Broken into lines as argparse does it."""
    if text is None:
        return None
    return textwrap.fill(" ".join(text.split()), shutil.get_terminal_size().columns - 2)
