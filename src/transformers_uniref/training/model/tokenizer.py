"""A small WordPiece tokenizer: whole words of a vocabulary, everything else spelled in letters."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import Any

from transformers import BertTokenizer

from ...core.errors import KindError, UsageError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def build_tokenizer(words: Iterable[str], text_length: int) -> BertTokenizer:
    """Build a lower-casing BERT tokenizer over `words`.

    Letters and digits are tokens too, at the start and inside a word, so that a Latin word outside the vocabulary is
    spelled instead of lost; other scripts become [UNK]. The result depends on the set of words, not on their order.

    Args:
        words: the words to know, lower case, without spaces.
        text_length: tokens of the context ([CLS] and [SEP] included), stored as `model_max_length`.
    """
    unique = sorted({word.strip().lower() for word in words})
    spaced = [word for word in unique if not word or " " in word]
    if spaced:
        raise UsageError(f"words: got {spaced[0]!r}; single words without spaces are accepted")
    characters = string.ascii_lowercase + string.digits
    tokens = [*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters), *unique]
    vocabulary = {token: position for position, token in enumerate(dict.fromkeys(tokens))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=text_length)


def extend_tokenizer(tokenizer: Any, words: Iterable[str], text_length: int) -> BertTokenizer:
    """`tokenizer` with tokens for the words that it has none for; all others keep their numbers.

    Args:
        tokenizer: a WordPiece tokenizer of BERT.
        words: as for `build_tokenizer`; those that are new are appended in alphabetical order.
        text_length: as for `build_tokenizer`.

    Raises:
        TypeError: it is a tokenizer of another kind.
    """
    if not isinstance(tokenizer, BertTokenizer):
        raise KindError(f"extend_vocabulary: the tokenizer is a {type(tokenizer).__name__}; accepted: a BertTokenizer")
    vocabulary = tokenizer.get_vocab()
    whole = build_tokenizer(words, text_length).get_vocab()
    new = sorted(set(whole) - set(vocabulary))
    known = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    return BertTokenizer(
        vocab=known | {token: len(known) + position for position, token in enumerate(new)},
        do_lower_case=True,
        model_max_length=text_length,
    )
