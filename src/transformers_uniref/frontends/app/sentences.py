"""What users type: one sentence a line."""

from __future__ import annotations

from ...processors.text import says_nothing
from ..errors import UserError
from .limits import MAX_OBJECTS, MAX_SENTENCE_LETTERS


def split_sentences(text: str | None, *, required: bool = True) -> list[str]:
    """The sentences of a text box, one a line; empty lines are left out."""
    sentences = [" ".join(line.split()) for line in (text or "").splitlines() if line.strip()]
    if not sentences and required:
        raise UserError("Write what to look for: one sentence a line.")
    if len(sentences) > MAX_OBJECTS:
        raise UserError(f"Up to {MAX_OBJECTS} sentences are accepted, got {len(sentences)}.")
    for sentence in sentences:
        if len(sentence) > MAX_SENTENCE_LETTERS:
            raise UserError(
                f"A sentence may have up to {MAX_SENTENCE_LETTERS} letters, got {len(sentence)}: {sentence[:40]} ..."
            )
        if says_nothing(sentence):
            raise UserError(f"A sentence must hold a word, got {sentence!r}.")
    return sentences
