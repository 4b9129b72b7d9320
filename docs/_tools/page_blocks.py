"""Runs the Python code of a page, block by block in one namespace, as a reader would who follows it.

    python docs/_tools/page_blocks.py docs/quickstart.md README.md

Every block that is fenced as `python` runs. What a page does not show is set up in an HTML comment,

    <!-- invisible-code-block: python
    from page_examples import image
    -->

and a block that cannot run (it needs the Hub, an original data set, an accelerator) has a comment before it:

    <!-- not run: needs a data set -->

Such a block must still compile. Code runs in a folder with the files that the pages name (`page_examples.fill`).
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

from sybil import Example
from sybil.document import Document
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^\n]+?) -->\s*\Z")


class PageError(AssertionError):
    """A block of a page does not run; says which and why."""


def reason_not_to_run(example: Example) -> str | None:
    """What the comment before a block says, if there is one."""
    found = NOT_RUN.search(example.document.text, 0, example.start)
    return found["reason"] if found else None


class Evaluator(PythonEvaluator):
    """Runs a block, or compiles it where a comment says that it cannot run here."""

    def __call__(self, example: Example) -> None:
        if reason_not_to_run(example) is None:
            super().__call__(example)
        else:
            compile(example.parsed, example.path, "exec", dont_inherit=True)


def blocks(page: Path, language: str) -> list[Example]:
    """The blocks of a page in their order, those in comments as well; they share a namespace."""
    document = Document.parse(str(page), CodeBlockParser(language, Evaluator()), encoding="utf-8")
    document.namespace["__name__"] = "__main__"
    return list(document.examples())


def run_page(page: Path, folder: Path) -> int:
    """Runs all Python blocks of a page in `folder`; returns how many there were, those only compiled included.

    Raises:
        PageError: with the page, the line and the traceback of the block that failed.
    """
    import torch

    count = 0
    with chdir(folder), torch.enable_grad():  # a page may switch gradients off for itself
        for example in blocks(page, "python"):
            count += 1
            try:
                example.evaluate()
            except Exception as error:
                told = "".join(traceback.format_exception(error)[-6:])
                raise PageError(f"{page.name}, block at line {example.line}:\n{example.parsed}\n{told}") from error
    return count


def shell_commands(page: Path) -> Iterator[tuple[int, str]]:
    """The commands of the shell blocks of a page with their lines: continued lines joined, comments left out."""
    for language in ("bash", "console"):
        for example in blocks(page, language):
            text = str(example.parsed).replace("\\\n", " ")
            for line in text.splitlines():
                command = re.sub(r"(^|\s)#.*$", "", line.removeprefix("$ ")).strip()
                if command:
                    yield example.line, command


def main(names: list[str]) -> int:
    """Runs pages that are named on the command line."""
    import page_examples

    for name in names:
        page = Path(name).resolve()
        with tempfile.TemporaryDirectory() as folder:
            page_examples.fill(Path(folder))
            print(f"{name}: {run_page(page, Path(folder))} blocks")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main(sys.argv[1:]))
