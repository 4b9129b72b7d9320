"""`uniref completion`: the shell completes verbs, options and files."""

from __future__ import annotations

import argparse

from .help_text import all_parsers

HELP = "print a script that lets a shell complete verbs, options and file names"
EXAMPLES = (
    "uniref completion bash > ~/.local/share/bash-completion/completions/uniref",
    "uniref completion zsh > ~/.zfunc/_uniref",
    "uniref completion fish > ~/.config/fish/completions/uniref.fish",
)

SHELLS = ("bash", "zsh", "fish")
_FOLDERS = ("DIR", "FOLDER", "OUTPUT_DIR")
_NO_FILES = ("NAME", "HUB_ID", "REPO_ID", "SENTENCE", "SCORE", "TEXT", "LIST", "N")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.epilog = "bash and fish read the file when uniref is first completed, zsh where ~/.zfunc is in its fpath."
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def run(arguments: argparse.Namespace) -> int:
    """Prints the script to standard output."""
    print(completion_script(arguments.shell))
    return 0


def completion_script(shell: str) -> str:
    """The script of one of `SHELLS`, with every verb."""
    import shtab

    from .main import available_verbs, build_parser

    parser = build_parser(available_verbs())
    for each in all_parsers(parser):
        for action in each._actions:
            _mark_files(action, shtab)
    return str(shtab.complete(parser, shell=shell))


def _mark_files(action: argparse.Action, shtab: object) -> None:
    """Tells shtab which arguments are file or folder names, by what the help calls them."""
    takes_value = action.nargs != 0 and action.choices is None
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not takes_value or name in _NO_FILES:
        return
    marked = "DIRECTORY" if name in _FOLDERS else "FILE"
    action.complete = getattr(shtab, marked)  # type: ignore[attr-defined]
