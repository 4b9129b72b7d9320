"""Telling a user's mistake and a failure, which are worth one line, from a defect, whose traceback `--debug` shows."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Mapping

from ..core.errors import InvalidInputError
from ..core.optional import MissingExtraError

FAILED = 1
"""Exit code: something went wrong, and it was not the command line; or a part was left out."""

USERS_MISTAKE = 2
INTERRUPTED = 130

PACKAGE = __package__.split(".")[0]

_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EIO", "EFBIG", "ENOMEM", "EMFILE", "ENFILE", "EROFS")
    if hasattr(errno, name)
}
"""Errors of the operating system that are no fault of the command line, such as a full disk."""


class UserError(Exception):
    """Something that the user can put right. Its message is a full sentence that says how."""


def is_users_mistake(error: BaseException) -> bool:
    """Whether an exception tells the user something, rather than the developers.

    Files that are missing, in the way or not readable are the user's, and so is every ValueError and TypeError that
    this package raises on purpose, for its public functions raise them to describe bad arguments. The same exceptions
    out of a library, or out of an expression of this package that went wrong, are defects.
    """
    if isinstance(error, (UserError, MissingExtraError, InvalidInputError)):
        return True
    if isinstance(error, OSError):
        return not (isinstance(error, BrokenPipeError) or is_failure(error))
    described = isinstance(error, (ValueError, TypeError)) and not is_failure(error)
    return described and _raised_on_purpose(error)


def is_failure(error: BaseException) -> bool:
    """Whether what was asked for is right and could not be done.

    Memory, disk or connection were at fault, or this package says so with a RuntimeError or FloatingPointError: a
    training run that diverges, for example.
    """
    if isinstance(error, OSError):
        lost = isinstance(error, (ConnectionError, TimeoutError)) and not isinstance(error, BrokenPipeError)
        return lost or error.errno in _OF_THE_MACHINE
    said = isinstance(error, (RuntimeError, FloatingPointError)) and not isinstance(error, NotImplementedError)
    return _out_of_memory(error) or (said and _raised_on_purpose(error))


def describe(error: BaseException, names: Mapping[str, str] | None = None) -> str:
    """The message in one line.

    Args:
        error: of any kind.
        names: what the front end calls the library's arguments, see `translated`.
    """
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.strerror}: {error.filename}"
    elif _out_of_memory(error):
        text = "out of memory; smaller pictures, a smaller --batch-size or --dtype bfloat16 take less"
    else:
        text = str(error) or type(error).__name__
    return translated(" ".join(text.split()), names or {})


def translated(text: str, names: Mapping[str, str]) -> str:
    """A message of the library in the words of a front end.

    Args:
        text: names arguments between backticks.
        names: what the front end calls them; an argument that it does not have stays as it is.
    """
    return re.sub(r"`(\w+)`", lambda found: names.get(found[1], found[0]), text)


def _out_of_memory(error: BaseException) -> bool:
    """Python's own error, and those of PyTorch, of which that for the main memory has no class of its own."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )


def _raised_on_purpose(error: BaseException) -> bool:
    """Whether the last line of the traceback is a `raise` of this package; without sources, any line of it."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames or frames[-1][0].f_globals.get("__name__", "").split(".")[0] != PACKAGE:
        return False
    (last,) = traceback.extract_tb(error.__traceback__, limit=-1)
    return not last.line or last.line.startswith("raise")
