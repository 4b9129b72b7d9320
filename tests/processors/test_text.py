"""What becomes of sentences."""

from __future__ import annotations

import warnings

import pytest

from processor_support import (
    WORDS,
    small_processor,
)
from transformers_uniref.processors.text import normalise_sentence
from transformers_uniref.processors.vocabulary import NothingUnderstoodWarning


@pytest.mark.parametrize(
    ("sentence", "normalised"),
    [
        ("The dog, on the LEFT!", "the dog on the left"),
        ("man in t-shirt/jeans", "man in t shirt jeans"),
        ('  a  \t(red) "car": #2; *really*?  ', "a red car 2 really"),
        ("the man's hat.", "the mans hat"),
        ("ÉCOLE Straße", "école straße"),
    ],
)
def test_sentences_are_normalised_as_in_training(sentence, normalised):
    assert normalise_sentence(sentence) == normalised


def test_sentences_are_always_padded_to_the_full_context():
    made = small_processor()(text=["The dog on the left.", "a red T-shirt"])
    words = ["[CLS]", "the", "dog", "on", "the", "left", "[SEP]"]
    assert made.input_ids.shape == made.attention_mask.shape == (2, 77)
    assert made.input_ids[0, :7].tolist() == [WORDS.index(word) for word in words]
    assert made.input_ids[0, 7:].sum() == 0
    assert made.attention_mask.sum(1).tolist() == [7, 6]


def test_a_sentence_beyond_the_context_is_cut_with_a_warning():
    with pytest.warns(UserWarning, match="reads the first 75"):
        made = small_processor()(text="dog " * 100)
    assert made.attention_mask.sum() == 77
    assert made.input_ids[0, -1] == WORDS.index("[SEP]")


def test_unknown_words_become_unk_and_a_sentence_of_nothing_else_is_worth_a_warning():
    processor = small_processor()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert WORDS.index("[UNK]") in processor(text="the red zebra").input_ids
    for nothing in ("左边的狗", "the zebra", "of the"):
        with pytest.warns(NothingUnderstoodWarning, match=f"nothing in '{nothing}' was understood"):
            made = processor(text=nothing)
    assert made.understood == [False] and made.unknown_words == [[]]
