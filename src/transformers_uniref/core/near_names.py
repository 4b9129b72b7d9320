"""The end of a message about a name that is not known: what it was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

TYPOGRAPHIC_DASHES = "–—−"
"""Word processors and web pages turn `--` into one of these."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """ "; did you mean --text?" for a near miss of a known name, else nothing.

    Case and the dashes before an option do not count.
    """
    plain = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(given), plain, n=1, cutoff=0.6)
    return f"; did you mean {plain[near[0]]}?" if near else ""


def _plain(name: str) -> str:
    return name.lstrip("-" + TYPOGRAPHIC_DASHES).lower()
