"""Lists, sizes, shares and tables in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MOST = 5


def some(names: Iterable[object]) -> str:
    """The first names, and how many more there are."""
    listed = [str(name) for name in names]
    return ", ".join(listed[:_MOST]) + (f" and {len(listed) - _MOST} more" if len(listed) > _MOST else "")


def pixels(size: tuple[int, ...]) -> str:
    """A size (height, width) as people say it, the width first."""
    return f"{size[1]} x {size[0]}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction in percent, "-" where there is none."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def markdown_table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table, none without a row."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (heading, *rows)]
    heads, *lines = [f"| {' | '.join(row)} |" for row in cells]
    return [heads, "|" + "---|" * len(heading), *lines] if lines else []
