"""The tokenizer of a new model."""

from __future__ import annotations

import pytest

pytest.importorskip("accelerate")

from transformers import AutoTokenizer  # noqa: E402

from transformers_uniref.training.model.tokenizer import build_tokenizer  # noqa: E402


def test_the_tokenizer_spells_unknown_words_and_reloads(tmp_path):
    tokenizer = build_tokenizer(["red", "star", "the"], text_length=8)
    tokenizer.save_pretrained(tmp_path)
    reloaded = AutoTokenizer.from_pretrained(tmp_path)
    for one in (tokenizer, reloaded):
        assert one.tokenize("The red cat 7") == ["the", "red", "c", "##a", "##t", "7"]
        assert one.tokenize("\u0437\u0432\u0435\u0437\u0434\u0430") == ["[UNK]"]
    with pytest.raises(ValueError, match="light blue"):
        build_tokenizer(["light blue"], 8)
