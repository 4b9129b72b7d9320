"""Names that are not known: what is said of them, with what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from .errors import UsageError

Named = TypeVar("Named")

TYPOGRAPHIC_DASHES = "–—−"
"""Word processors and web pages turn `--` into one of these."""


def named(argument: str, name: str, known: Mapping[str, Named]) -> Named:
    """What stands in `known` under the name that came as `argument`.

    Raises:
        ValueError: nothing does; the message lists the names.
    """
    if name not in known:
        raise UsageError(f"`{argument}` must be one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}")
    return known[name]


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """ "; did you mean --text?" for a near miss of a known name, else nothing.

    Case and the dashes before an option do not count.
    """
    plain = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(given), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.lstrip("-" + TYPOGRAPHIC_DASHES).lower()
