"""Text in pictures: the font, and breaking and shortening to a width."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

from PIL import ImageFont

Font: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"


@cache
def default_font(size: int) -> Font:
    """Pillow's own font, which knows the letters of Western European languages; others are drawn as boxes."""
    return ImageFont.load_default(size)


def wrapped(text: str, font: Font, width: int, lines: int = 2) -> list[str]:
    """Breaks a text at spaces into at most `lines` lines that fit, and marks a cut with an ellipsis."""
    broken = [""]
    for word in text.split():
        longer = f"{broken[-1]} {word}".strip()
        if font.getlength(longer) <= width or not broken[-1]:
            broken[-1] = longer
        else:
            broken.append(word)
    if len(broken) > lines:
        broken = [*broken[: lines - 1], " ".join(broken[lines - 1 :])]
    return [shortened(part, font, width) for part in broken]


def shortened(text: str, font: Font, width: int) -> str:
    """Cuts a text to a width in pixels, and marks the cut with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip() + "…"
