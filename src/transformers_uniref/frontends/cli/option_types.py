"""Types of options: they turn a word of the command line into a value, or say what would be accepted."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ...core.near_names import did_you_mean
from ..errors import UserError


def at_least_one(text: str) -> int:
    """A whole number from 1, as the `type` of an option."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {value}")
    return value


def numbers(count: int, form: str) -> Callable[[str], list[float]]:
    """The type of an option that takes so many numbers with commas between them, such as X,Y."""

    def parse(text: str) -> list[float]:
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = []
        if len(values) != count:
            raise argparse.ArgumentTypeError(f"must be {form} in pixels, got {text!r}")
        return values

    return parse


def at_frame(of: Callable[[str], Any]) -> Callable[[str], tuple[str, Any]]:
    """The type of an option [FRAME=]VALUE; the frame is empty where it is left out."""

    def parse(text: str) -> tuple[str, Any]:
        frame, found, value = text.rpartition("=")
        if found and not frame.strip():
            raise argparse.ArgumentTypeError(f"must name a frame before =, got {text!r}")
        return frame.strip(), of(value)

    return parse


def stroke(text: str) -> list[list[float]]:
    """Points X,Y with spaces between them, as the `type` of an option."""
    points = [numbers(2, "X,Y X,Y ...")(part) for part in text.split()]
    if not points:
        raise argparse.ArgumentTypeError("must be X,Y X,Y ... in pixels, got nothing")
    return points


def local_path(word: str, refusal: str) -> Path:
    """The path that a word or a `file://` URL means; a URL of another machine or kind is refused with these words."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", word) is None:
        return Path(word)
    parts = urlsplit(word)
    if parts.scheme.lower() != "file" or parts.netloc not in ("", "localhost"):
        raise UserError(refusal)
    return Path(url2pathname(parts.path))


def some_of(accepted: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """The type of an option that takes some of these words, with commas between them; `all` takes them all.

    The words come back in the order of `accepted`, each once.
    """

    def parse(text: str) -> tuple[str, ...]:
        words = [word.strip().lower() for word in text.split(",") if word.strip()]
        unknown = [word for word in words if word not in accepted and word != "all"]
        if unknown or not words:
            named = ", ".join(accepted)
            hint = did_you_mean(unknown[0], accepted) if unknown else ""
            raise argparse.ArgumentTypeError(f"must be all or some of {named} with commas between, got {text!r}{hint}")
        return tuple(word for word in accepted if word in words or "all" in words)

    return parse
