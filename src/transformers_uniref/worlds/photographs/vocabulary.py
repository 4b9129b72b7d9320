"""The words that sentences about photographs are made of: what a model is taught by them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from .captions import described
from .facts import COLOURS
from .folders import PhotographFolder
from .nouns import WIDER, plural, words_of

_GRAMMAR = """
    left right top bottom middle center leftmost rightmost highest lowest upper lower far furthest closest nearest front
    back background foreground away first second third fourth fifth sixth one two three four five both all every not
    largest biggest larger bigger large big smallest smaller small little wearing gray pair piece pieces
    next near beside above over below under close centre behind side edge cut off partly hidden out
    picture camera distance without holding carrying riding sitting standing inside dressed clothes color
    shirt top jacket t coat sweater pants shorts trousers jeans
"""
"""Of `grammar.py` and `clauses.py`, beside nouns and colours and without the words that name nothing by themselves."""

OFTEN = 5
"""A word of a caption counts as taught when it stands in so many captions that are used as references."""


def photograph_vocabulary(folders: Sequence[PhotographFolder], captions: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Words of the sentences about the photographs of `folders`, sorted.

    Args:
        folders: whose classes are named.
        captions: (caption, class) pairs: what people wrote, and a class that their picture shows.
    """
    names = {name for folder in folders for name in folder.classes}
    names |= {wider for wider, narrower in WIDER.items() if not names.isdisjoint(narrower)}
    nouns = {noun for name in names for word in words_of(name) for noun in (word, plural(word))}
    words = {word for text in (*nouns, *COLOURS, _GRAMMAR) for word in words_in(text)}
    counts = Counter(
        word for caption, name in captions if (text := described(caption, name)) for word in set(words_in(text))
    )
    return sorted(words | {word for word, count in counts.items() if count >= OFTEN})


def words_in(text: str) -> list[str]:
    """Lower-case words; a hyphen parts them, as the processor reads them."""
    return re.findall(r"[^\W_]+", text.lower())
