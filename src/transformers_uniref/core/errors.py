"""What this package raises on purpose, so that front ends can tell it from a defect by its type.

What a user can put right is a `MistakeError`; `UsageError` and `KindError` are the ValueError and the TypeError among
them. What was asked for rightly and could not be done is a `FailureError`. A plain ValueError, TypeError or
RuntimeError comes out of a library, or out of an expression that went wrong, and is a defect.
"""

from __future__ import annotations

from typing import Any


def one_line(error: BaseException, most: int | None = 400) -> str:
    """What an error of another library says, in one line of at most `most` characters; if nothing, its type."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split())[:most] or type(error).__name__


class MistakeError(Exception):
    """Something that the user can put right; the message says how."""


class UsageError(MistakeError, ValueError):
    """An argument, a file or a call that cannot be used."""


class KindError(MistakeError, TypeError):
    """Another kind of thing than is accepted."""


class FailureError(RuntimeError):
    """What was asked for is right and could not be done, as with a training run that diverges."""


class InvalidInputError(UsageError):
    """An argument that cannot be used: "`threshold`: got 2; accepted: 0 to 1".

    Messages name arguments as the library calls them, between backticks, further ones in the hint too: a command line
    puts its options there, a page its labels.

    Attributes:
        argument: its name.
        got: what came, or words that say it.
        accepted: what would do, in words.
        hint: what else helps, in words; may be empty.
    """

    def __init__(self, argument: str, got: Any, accepted: str, hint: str = "") -> None:
        super().__init__(argument, got, accepted, hint)  # all of them, for pickles to and from other processes
        self.argument = argument
        self.got = got
        self.accepted = accepted
        self.hint = hint

    def __str__(self) -> str:
        text = f"`{self.argument}`: got {self.got}; accepted: {self.accepted}"
        return f"{text}; {self.hint}" if self.hint else text
