"""Which words of a sentence a model knows, and how a processor says so without disturbing the model's input."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from transformers import AutoProcessor, BertTokenizer
from transformers.trainer_utils import RemoveColumnsCollator

from processor_support import picture, small_processor
from transformers_uniref.core.model_names import bundled_checkpoints
from transformers_uniref.core.score_gate import gate_of, none_passed, passes
from transformers_uniref.processors.vocabulary import NothingUnderstoodWarning
from transformers_uniref.training.model.tokenizer import build_tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::transformers_uniref.processors.vocabulary.NothingUnderstoodWarning")


@pytest.fixture(scope="module")
def spelling() -> Any:
    """A processor whose tokenizer spells what it does not know, as trainings on drawn scenes make them."""
    processor = small_processor()
    processor.tokenizer = build_tokenizer(["red", "star", "ball", "cafe", "the", "left"], 24)
    return processor


@pytest.mark.parametrize(
    ("sentence", "unknown"),
    [
        ("the red star", []),
        ("The RED Star!", []),
        ("a submarine", ["submarine"]),
        ("Kraken, kraken and a red kraken.", ["kraken"]),
        ("a kraken-like star", ["kraken", "like"]),
        ("red stars on the left", []),
        ("the café", []),
        ("the star’s ball", []),
        ("red & star - (left)", []),
        ("42 stars", ["42"]),
        ("собака", ["собака"]),
        ("红色的汽车 star", ["红色的汽车"]),
        ("the red 🚗", ["🚗"]),
        ("find me the one", ["one"]),
        ("the of on", []),
    ],
)
def test_words_that_are_spelled_or_lost_are_unknown(spelling: Any, sentence: str, unknown: list[str]) -> None:
    assert spelling.unknown_words(sentence) == unknown


@pytest.mark.parametrize("sentence", ["the of on", "a submarine", "find me it", "🚗", "左边"])
def test_function_words_alone_say_nothing(spelling: Any, sentence: str) -> None:
    with pytest.warns(NothingUnderstoodWarning, match="was understood"):
        assert spelling(text=sentence).understood == [False]


def test_a_list_of_taught_words_decides_over_an_open_vocabulary() -> None:
    processor = small_processor()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "sub", "##mar", "##ine", "ball", "balls", "t", "##v"]
    processor.tokenizer = BertTokenizer(vocab={word: index for index, word in enumerate(words)})
    assert processor.unknown_words("red submarine") == [], "the tokenizer has it in pieces"
    assert processor.unknown_words("tv") == ["tv"], "two letters"
    processor.known_words = ["red", "ball", "tv"]
    assert processor.unknown_words("red submarine") == ["submarine"]
    assert processor.unknown_words("balls tv") == [], "another number of a taught word; a taught word that is spelled"


def test_sentences_may_be_nested_as_for_a_call(spelling: Any) -> None:
    assert spelling.unknown_words(["a kraken", "the star"]) == [["kraken"], []]
    assert spelling.unknown_words([["a kraken"], ["the star", "yeti"]]) == [[["kraken"]], [[], ["yeti"]]]
    with pytest.raises(TypeError, match="`text` must be a sentence"):
        spelling.unknown_words(3)
    with pytest.raises(ValueError, match="`text` is an empty list"):
        spelling.unknown_words([])


def test_what_is_unknown_is_an_attribute_and_no_input(spelling: Any) -> None:
    inputs = spelling(images=picture(), text=["a kraken", "the star"])
    assert sorted(inputs) == ["attention_mask", "image_indices", "input_ids", "pixel_mask", "pixel_values"]
    assert all(isinstance(value, torch.Tensor) for value in inputs.values())
    for same in (
        inputs,
        inputs.to("cpu"),
        copy.copy(inputs),
        copy.deepcopy(inputs),
        pickle.loads(pickle.dumps(inputs)),
    ):
        assert same.unknown_words == [["kraken"], []] and same.understood == [False, True]
        assert sorted(same) == sorted(inputs)
    assert spelling(images=picture(), text="a star", return_tensors="np").unknown_words == [[]]
    assert spelling(images=picture()).unknown_words == []
    collate = RemoveColumnsCollator(lambda items: items, signature_columns=list(inputs))
    assert sorted(collate([inputs])[0]) == sorted(inputs)


def test_an_example_beside_a_sentence_says_what_is_meant(spelling: Any) -> None:
    from processor_support import disc

    with warnings.catch_warnings():
        warnings.simplefilter("error", NothingUnderstoodWarning)
        made = spelling(images=picture(), text="a kraken", reference_images=picture(), reference_masks=disc())
    assert made.unknown_words == [["kraken"]]


def test_taught_words_are_saved_with_the_processor(tmp_path: Any) -> None:
    processor = small_processor()
    processor.save_pretrained(tmp_path / "open")
    assert "known_words" not in (tmp_path / "open" / "processor_config.json").read_text()
    assert AutoProcessor.from_pretrained(tmp_path / "open").known_words is None
    type(processor)(processor.image_processor, processor.tokenizer, known_words={"Dog", "cat"}).save_pretrained(
        tmp_path
    )
    assert AutoProcessor.from_pretrained(tmp_path).known_words == ["cat", "dog"]
    with pytest.raises(TypeError, match="`known_words` must be a list of words"):
        type(processor)(processor.image_processor, known_words="dog")


def test_the_bundled_models_know_the_words_of_their_world() -> None:
    from transformers_uniref.worlds.drawn.grammar import vocabulary

    for folder in bundled_checkpoints().values():
        processor = AutoProcessor.from_pretrained(folder)
        assert processor.known_words and processor.unknown_words(" ".join(vocabulary())) == []
        assert processor.unknown_words("a red submarine on a gramophone") == ["submarine", "gramophone"]


def test_one_rule_says_what_passes_and_how_it_is_written() -> None:
    assert (gate_of(None, 0.4), gate_of(0.2, 0.4), gate_of(0, 0.4), gate_of(None, None)) == (0.4, 0.2, None, None)
    assert passes(0.5, 0.4) and not passes(0.4, 0.4) and passes(0.0, None)
    assert passes(torch.tensor([0.5, 0.4]), 0.4).tolist() == [True, False]
    assert passes(torch.zeros(2), None).tolist() == [True, True]
    assert none_passed(0.415, 0.25289) == "no answer passed .415; best .252"
    assert none_passed(1, 0.99999) == "no answer passed 1; best .999", "never rounded up to the gate"
    with pytest.raises(ValueError, match="`threshold` must be between 0 and 1"):
        gate_of(1.5, None)


def test_a_training_adds_its_words_to_those_of_the_model_it_starts_from(tmp_path: Any) -> None:
    from types import SimpleNamespace

    from transformers_uniref.training.export import build_processor

    def made(words: list[str], **options: Any) -> Any:
        start: Any = SimpleNamespace(**{"takes_initial_model": False, "initial_weights": "", "model": {}, **options})
        return build_processor(start, build_tokenizer(["red", "star"], 24), 24, {}, 64, words)

    assert made([]).known_words is None
    made(["star", "red"]).save_pretrained(tmp_path)
    before = {"initial_weights": str(tmp_path)}
    assert made(["ball"], **before).known_words == ["ball", "red", "star"]
    assert made(["ball"], **before, takes_initial_model=True).known_words == ["ball", "red", "star"]
    assert made([], **before, takes_initial_model=True).known_words == ["red", "star"]
