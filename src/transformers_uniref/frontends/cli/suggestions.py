"""A parser that says what a mistyped option, verb or choice was probably meant to be."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from ...core.near_names import TYPOGRAPHIC_DASHES, did_you_mean


class SuggestingParser(argparse.ArgumentParser):
    """Names the option, verb or choice that a mistyped one is close to; parsers of verbs are of this class too.

    Python 3.14 does so for verbs and choices, if asked; nothing does for options.
    """

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As in the base class, but an unknown option is an error, of the parser of the verb that was given it."""
        self._given = [] if args is None else list(args)
        for word in self._given:
            # What was copied from a page would pass for a file.
            if word.startswith(tuple(TYPOGRAPHIC_DASHES)) and did_you_mean(word, self._long_options()):
                self.error(f"options begin with two plain hyphens, got {word}")
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return parsed, unknown

    def error(self, message: str) -> NoReturn:
        """Ends the program with the message and, where an option was mistyped, with the one that was meant."""
        super().error(message + self._meant_option())

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            hint = did_you_mean(str(value), map(str, action.choices or ()))
            raise argparse.ArgumentError(action, f"{error.message}{hint}") from None

    def _long_options(self) -> list[str]:
        return [text for text in self._option_string_actions if text.startswith("--")]

    def _meant_option(self) -> str:
        """For the first word that looks like an option and is none: it may be why another is missing."""
        for word in self._given:
            if word == "--":
                break
            name = word.partition("=")[0]
            looks_like_one = len(name) > 2 and name.startswith(("-", *TYPOGRAPHIC_DASHES))
            if looks_like_one and not any(option.startswith(name) for option in self._long_options()):
                return did_you_mean(name, self._long_options())
        return ""
