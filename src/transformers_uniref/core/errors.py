"""What a bad argument raises: an error that knows the argument's name, so that a front end can say its own."""

from __future__ import annotations

from typing import Any


class InvalidInputError(ValueError):
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
