"""A small WordPiece tokenizer: whole words of a vocabulary, everything else spelled in letters."""

from __future__ import annotations

import string
from collections.abc import Iterable

from transformers import BertTokenizer

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
        raise ValueError(f"words: got {spaced[0]!r}; single words without spaces are accepted")
    characters = string.ascii_lowercase + string.digits
    tokens = [*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters), *unique]
    vocabulary = {token: position for position, token in enumerate(dict.fromkeys(tokens))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True, model_max_length=text_length)
