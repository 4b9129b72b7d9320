"""The options of a verb by the names of the library's arguments, for what the library says about them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from .help_text import all_parsers


def option_names(
    add_arguments: Callable[[argparse.ArgumentParser], None], others: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What the command line calls each argument, such as {"id_column": "--id-column", "dataset": "DATASET"}.

    The library's name is that under which argparse stores the value (`dest`), or, of an option that may be repeated,
    its plural; `others` are stored under another name than the library's.
    """
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    names = {}
    for each in all_parsers(parser):
        for action in each._actions:
            if isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)):
                continue
            options = sorted(action.option_strings, key=lambda option: not option.startswith("--"))
            name = options[0] if options else str(action.metavar or action.dest)
            names[action.dest] = name
            if isinstance(action, argparse._AppendAction):
                names[f"{action.dest}s"] = name
    return names | dict(others or {})
