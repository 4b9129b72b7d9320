"""Captions as references: where a picture shows one object of a class, and a caption is about such an object, the
caption describes it."""

from __future__ import annotations

import re

from .nouns import words_of

_PEOPLE = (
    "man|woman|person|boy|girl|guy|lady|child|kid|baby|toddler|player|skier|snowboarder|surfer|skateboarder|batter|"
    "pitcher|catcher|rider|cyclist|biker|chef|cook|policeman|officer|gentleman|male|female|skater|cowboy|bride|groom|"
    "tennis player|baseball player|worker|someone|soldier|pedestrian|student|teenager"
)
_BEGINNING = re.compile(r"^(?:a|an|the|one|this|there is an?)\s+")
_NOT_THE_OBJECT = re.compile(
    # What ends the subject before the object is named,
    "with|on|in|of|at|by|near|and|is|are|that|sitting|standing|holding|riding|walking|next|while|wearing|laying|lying|"
    "to|from|for|has|being|under|over|behind|playing|"
    # and subjects that only contain it.
    "picture|photo|photograph|image|view|close|shot|group|couple|pair|bunch|toy"
)


def described(caption: str, name: str) -> str | None:
    """The caption as a reference to the only object of a class, or None where its subject is something else.

    ```python
    >>> described("A brown dog lying on a couch.", "dog"), described("A couch with a dog on it", "dog")
    ('a brown dog lying on a couch', None)

    ```
    """
    text = re.sub(r"\s+", " ", caption.strip().rstrip(".").lower())
    start = _BEGINNING.match(text)
    if start is None or len(text) > 160:
        return None
    words = _PEOPLE if name == "person" else "|".join(re.escape(word) for word in words_of(name))
    rest = text[start.end() :]
    found = re.match(rf"((?:[a-z-]+ ){{0,3}}?)({words})\b(?! ?(?:s\b|'s\b))", rest)
    if found is None:
        return None
    if any(map(_NOT_THE_OBJECT.fullmatch, found.group(1).split())):
        return None
    after = rest[found.end() :].split()
    if after and after[0] in ("and", "shaped", "toy", "statue", "sign", "seat", "food", "leash", "bed"):
        return None
    return text
