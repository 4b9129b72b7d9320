"""Docstrings are written in Markdown; Sphinx reads reStructuredText. What the two write differently is little:

fenced code becomes an indented `code-block`, a table a `csv-table`, and lists and code get the empty lines around them
that reStructuredText wants. What stands before a colon in a section on results is no type, as it is everywhere in this
package. (Single backquotes mean code through `default_role` in conf.py.) Runs before napoleon sorts
the sections.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

FENCE = re.compile(r"^(\s*)```(\w*)\s*$")
ITEM = re.compile(r"^\s*- ")
RESULT = re.compile(r"^\s*(Returns|Yields):\s*$")
NAME = re.compile(r"\[(`[^`]+`)\]")
ROW = re.compile(r"^(\s*)\|(.*)\|\s*$")
LINK = re.compile(r"\[([^\]`]+)\]\((https?://[^)\s]+)\)")


def to_rst(lines: list[str]) -> list[str]:
    """The same docstring in reStructuredText."""
    plain = (NAME.sub(r"\1", LINK.sub(r"`\1 <\2>`__", line)) for line in lines)
    return list(_with_spaces_around_lists(_with_tables(_with_code_blocks(_without_types(plain)))))


def _without_types(lines: Iterator[str]) -> Iterator[str]:
    begins = False
    for line in lines:
        if begins and line.strip():
            yield f"{line[: _indent(line)]}: {line.lstrip()}"  # napoleon: an empty type, then the description
            begins = False
        else:
            begins = begins or RESULT.match(line) is not None
            yield line


def _with_code_blocks(lines: Iterator[str]) -> Iterator[str]:
    indent = None
    for line in lines:
        fence = FENCE.match(line)
        if fence and indent is None:
            indent = fence[1]
            yield from ("", f"{indent}.. code-block:: {fence[2] or 'text'}", "")
        elif fence:
            indent = None
            yield ""
        else:
            yield line if indent is None or not line.strip() else f"    {line}"


def _with_tables(lines: Iterator[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        row = ROW.match(line)
        if row and set(row[2]) <= set("|-: "):
            continue
        if row:
            cells = ", ".join('"' + cell.strip().replace('"', '""') + '"' for cell in row[2].split("|"))
            yield from () if inside else (f"{row[1]}.. csv-table::", f"{row[1]}   :header: {cells}", "")
            if inside:
                yield f"{row[1]}   {cells}"
        else:
            yield line
        inside = bool(row)


def _with_spaces_around_lists(lines: Iterator[str]) -> Iterator[str]:
    before = ""
    for line in lines:
        if ITEM.match(line) and before.strip() and not ITEM.match(before) and _indent(before) <= _indent(line):
            yield ""
        yield line
        before = line


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = to_rst(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
