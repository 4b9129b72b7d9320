"""Telling a user's mistake and a failure, which are worth one line, from a defect, whose traceback `--debug` shows."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping

from ..core.errors import FailureError, MistakeError, one_line

FAILED = 1
"""Exit code: something went wrong, and it was not the command line; or a part was left out."""

USERS_MISTAKE = 2
INTERRUPTED = 130

_OF_THE_MACHINE = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EIO", "EFBIG", "ENOMEM", "EMFILE", "ENFILE", "EROFS")
    if hasattr(errno, name)
}
"""Errors of the operating system that are no fault of the command line, such as a full disk."""


class UserError(MistakeError):
    """A mistake that a front end sees itself. Its message is a full sentence that says how to put it right.

    Any function of a front end may raise it where its input cannot be used; their docstrings name other errors alone.
    """


def is_users_mistake(error: BaseException) -> bool:
    """Whether an exception tells the user something, rather than the developers.

    Files that are missing, in the way or not readable are the user's, and so is every `MistakeError`. Any other
    exception is a failure or a defect.
    """
    named = isinstance(error, (MistakeError, OSError)) and not isinstance(error, BrokenPipeError)
    return named and not is_failure(error)


def is_failure(error: BaseException) -> bool:
    """Whether what was asked for is right and could not be done: a `FailureError`, or memory, disk or connection."""
    if isinstance(error, OSError):
        lost = isinstance(error, (ConnectionError, TimeoutError)) and not isinstance(error, BrokenPipeError)
        return lost or error.errno in _OF_THE_MACHINE
    return isinstance(error, FailureError) or _out_of_memory(error)


def describe(error: BaseException, names: Mapping[str, str] | None = None, less_memory: str = "") -> str:
    """The message in one line.

    Args:
        error: of any kind.
        names: what the front end calls the library's arguments, see `translated`.
        less_memory: what helps where memory ran out, in the front end's words.
    """
    if _out_of_memory(error):
        text = "out of memory" + (f"; {less_memory}" if less_memory else "")
    else:
        text = one_line(error, None)
    return translated(text, names or {})


def translated(text: str, names: Mapping[str, str]) -> str:
    """A message that names arguments between backticks, in the words of a front end; what it does not have stays."""
    return re.sub(r"`(\w+)`", lambda found: names.get(found[1], found[0]), text)


def _out_of_memory(error: BaseException) -> bool:
    """Python's own error, and those of PyTorch, of which that for the main memory has no class of its own."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))
    )
