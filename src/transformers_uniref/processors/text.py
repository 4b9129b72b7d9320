"""Sentences: the normalisation that the released models were trained with, and the checks before tokenisation."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.errors import KindError, UsageError

_DELETED = re.compile(r"""[.,'!?"()*#:;]""")
_SPACED = re.compile(r"[-/]")


def normalise_sentence(sentence: str) -> str:
    """Lower case; ``. , ' ! ? " ( ) * # : ;`` deleted; ``-`` and ``/`` become blanks; runs of blanks become one."""
    sentence = _DELETED.sub("", sentence.lower())
    return " ".join(_SPACED.sub(" ", sentence).split())


def says_nothing(sentence: Any) -> bool:
    """Whether nothing is left of it that a tokenizer could read: punctuation, blanks, control characters, no text."""
    if not isinstance(sentence, str):
        return True
    left = normalise_sentence(sentence)
    return not any(letter.isprintable() and not letter.isspace() and letter != "\ufffd" for letter in left)


def check_sentence(sentence: Any, name: str = "text") -> str:
    """The normalised sentence.

    Raises:
        TypeError: `sentence` is not a string.
        ValueError: nothing is left of it after normalisation.
    """
    if not isinstance(sentence, str):
        raise KindError(f"`{name}` must be a sentence (str), got {type(sentence).__name__}.")
    if says_nothing(sentence):
        raise UsageError(
            f"`{name}` must name something to segment, got {sentence!r}, of which nothing is left once punctuation "
            "and blanks are removed."
        )
    return normalise_sentence(sentence)


def tokenise(sentences: Sequence[str], tokenizer: Any, length: int) -> dict[str, np.ndarray]:
    """Token ids of sentences, always padded to `length` as in training (never to the longest of the batch).

    Args:
        sentences: N normalised sentences.
        tokenizer: a Transformers tokenizer.
        length: tokens per sentence, [CLS] and [SEP] (or their equals) included.

    Returns:
        `input_ids` and `attention_mask`, int64 (N, length), 1 = token.

    Raises:
        ValueError: the tokenizer makes no token of a sentence.

    Warns:
        UserWarning: a sentence is longer than `length` and was cut.
    """
    sentences = list(sentences)
    whole = tokenizer(sentences, add_special_tokens=False, padding=False, truncation=False, verbose=False)["input_ids"]
    room = length - tokenizer.num_special_tokens_to_add(pair=False)
    for sentence, ids in zip(sentences, whole, strict=True):
        if len(ids) == 0:
            raise UsageError(
                f"`text` must name something to segment, got {sentence!r}, of which the tokenizer makes no token."
            )
        if len(ids) > room:
            warnings.warn(
                f"`text` has a sentence of {len(ids)} tokens; the model reads the first {room}: {sentence!r}",
                stacklevel=4,
            )
    return padded_tokens(sentences, tokenizer, length)


def padded_tokens(sentences: list[str], tokenizer: Any, length: int) -> dict[str, np.ndarray]:
    """`tokenise` without its checks: a sentence of no token stays empty, a long one is cut without a word."""
    encoded = tokenizer(sentences, padding="max_length", truncation=True, max_length=length, return_tensors="np")
    return {
        "input_ids": encoded["input_ids"].astype(np.int64),
        "attention_mask": encoded["attention_mask"].astype(np.int64),
    }
