"""The words that sentences about photographs teach: what is drawn is made of them, captions give the frequent ones."""

from __future__ import annotations

import pytest

from photograph_support import write_ade, write_coco
from transformers_uniref.processors.vocabulary import FUNCTION_WORDS
from transformers_uniref.training.config.world import SamplingConfig
from transformers_uniref.training.data.world_source import WorldSource
from transformers_uniref.worlds.photographs import Photographs
from transformers_uniref.worlds.photographs.vocabulary import OFTEN, photograph_vocabulary, words_in


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[str]:
    where = tmp_path_factory.mktemp("photographs")
    return [str(write_coco(where / "coco")), str(write_ade(where / "ade"))]


def test_every_drawn_sentence_is_made_of_taught_words(folders) -> None:
    world = Photographs(folders, size=96)
    taught = set(world.vocabulary()) | FUNCTION_WORDS
    said = [reference for index in range(150) for reference in world.image(index, many=0.6).references]
    assert len({reference.kind for reference in said}) >= 5
    strange = {w for reference in said if reference.kind != "caption" for w in words_in(reference.text)} - taught
    assert not strange


class OneClass:
    classes = ("dog",)


def test_words_of_captions_count_when_they_are_frequent() -> None:
    often, seldom = ("a fluffy dog on a mat", "dog"), ("a grumpy dog on a mat", "dog")
    captions = [often] * OFTEN + [seldom] * (OFTEN - 1) + [("a castle with a dog", "dog")] * OFTEN
    words = photograph_vocabulary([OneClass()], captions)
    assert {"dog", "dogs", "animal", "animals", "fluffy", "left", "red"} <= set(words)
    assert not {"grumpy", "castle", "cat"} & set(words)


def test_a_run_on_photographs_teaches_their_words_beside_those_of_drawings(folders) -> None:
    drawn = set(WorldSource(SamplingConfig()).vocabulary())
    both = set(WorldSource(SamplingConfig(photographs=folders)).vocabulary())
    assert drawn < both
    assert both - drawn <= set(Photographs(folders, size=64).vocabulary())
