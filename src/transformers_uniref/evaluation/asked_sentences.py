"""Sentences of a data set, checked before a model is asked, so that a bad one names its row."""

from __future__ import annotations

from collections.abc import Iterable

from ..datasets.schema import Record, Sentence
from ..processors.text import says_nothing


def check_asked(record: Record, asked: Iterable[Sentence]) -> None:
    """Refuses a row with a sentence that nobody can answer.

    Raises:
        ValueError: naming the row and the place of the sentence in it, from 0.
    """
    for sentence in asked:
        if says_nothing(sentence.text):
            place = record.sentences.index(sentence)
            raise ValueError(
                f"`dataset` has a sentence without a word, {sentence.text!r}, number {place} of row {record.sample_id}"
            )
