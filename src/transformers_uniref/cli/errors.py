"""Telling a user's mistake, which is worth one line, from a defect of the program, which is worth its traceback."""

from __future__ import annotations

import opcode
from types import FrameType, TracebackType

from ..optional import MissingExtraError

PACKAGE = __package__.split(".")[0]


class UserError(Exception):
    """Something that the user can put right. Its message is a full sentence that says how."""


def is_users_mistake(error: BaseException) -> bool:
    """Whether an exception tells the user something, rather than the developers.

    Files that are missing, in the way or not readable are the user's, and so is every ValueError and TypeError that
    this package raises on purpose, for its public functions raise them to describe bad arguments. The same exceptions
    out of a library, or out of an expression of this package that went wrong, are defects.
    """
    if isinstance(error, (UserError, MissingExtraError)):
        return True
    if isinstance(error, OSError):
        return not isinstance(error, BrokenPipeError)
    return isinstance(error, (ValueError, TypeError)) and _raised_on_purpose(error.__traceback__)


def describe(error: BaseException) -> str:
    """The message in one line."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.strerror}: {error.filename}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())


def _raised_on_purpose(traceback: TracebackType | None) -> bool:
    """Whether the exception comes out of a `raise` statement of this package."""
    frame: FrameType | None = None
    position = -1
    while traceback is not None:
        frame, position = traceback.tb_frame, traceback.tb_lasti
        traceback = traceback.tb_next
    if frame is None or frame.f_globals.get("__name__", "").split(".")[0] != PACKAGE:
        return False
    return frame.f_code.co_code[position] == opcode.opmap["RAISE_VARARGS"]
