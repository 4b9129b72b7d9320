"""Sentences about mirrored pictures: left and right change places in words as well."""

from __future__ import annotations

import re

_SIDES = {"left": "right", "right": "left"}
_SIDE_WORD = re.compile(r"(?<![a-z])(left|right)(?=(?:most|hand|side|ward|wards)?(?![a-z]))", re.IGNORECASE)


def mirrored_sentence(sentence: str) -> str:
    """Exchange left and right in a sentence: the words themselves, "leftmost", "right-hand", "leftward" and the like.

    ```python
    >>> mirrored_sentence("The leftmost cup, right of the bright left-hand door")
    'The rightmost cup, left of the bright right-hand door'

    ```
    """

    def exchange(match: re.Match[str]) -> str:
        word = match.group()
        other = _SIDES[word.lower()]
        if word.isupper():
            return other.upper()
        return other.capitalize() if word[0].isupper() else other

    return _SIDE_WORD.sub(exchange, sentence)
