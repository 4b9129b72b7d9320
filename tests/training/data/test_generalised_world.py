"""Training samples of the drawn world whose sentences mean none, one or many objects."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from training_support import very_tiny
from transformers_uniref.training.config.world import SamplingConfig
from transformers_uniref.training.data.collation import Collator
from transformers_uniref.training.data.mixture import ScenePlan
from transformers_uniref.training.data.samples import Sample
from transformers_uniref.training.data.world_source import WorldSource
from transformers_uniref.training.model.factory import build_model
from transformers_uniref.training.model.tokenizer import build_tokenizer
from transformers_uniref.worlds import World, vocabulary
from transformers_uniref.worlds.drawn.world import generalised_vocabulary

ALWAYS = SamplingConfig(generalised_share=1.0, absent_share=1.0, objects_per_scene=3)


def plan(index: int, size: int = 64) -> ScenePlan:
    return ScenePlan("ris", index, size, 0, easy=index % 2 == 1, seed=index)


def equal(first: Sample, second: Sample) -> bool:
    return np.array_equal(first.image, second.image) and all(
        one.sentence == other.sentence and np.array_equal(one.target, other.target)
        for one, other in zip(first.entries, second.entries, strict=True)
    )


def test_each_entry_asks_for_exactly_the_objects_of_its_sentence() -> None:
    source, world = WorldSource(ALWAYS), World("train", size=64)
    counted = {0: 0, 1: 0, 2: 0}
    for index in range(20):
        sample = source.draw(plan(index))
        scene = world.image(index, easy=index % 2 == 1, generalised=True)
        meant = {one.text: one.numbers for one in scene["generalised"]}
        assert 1 <= len(sample.entries) <= 4 and not sample.entries[-1].target.any()
        for entry in sample.entries:
            assert entry.sentence is not None
            numbers = list(meant[entry.sentence])
            counted[min(len(numbers), 2)] += 1
            assert np.array_equal(entry.target, scene["masks"][numbers].any(0))
            assert len(entry.others) == len(scene["masks"]) - len(numbers)
            assert (entry.targets is not None) == (len(numbers) > 1)
            if entry.targets is not None:
                assert entry.targets.masks is not None
                assert np.array_equal(entry.targets.masks, scene["masks"][numbers])
    assert min(counted.values()) > 5


def test_equal_plans_give_equal_samples() -> None:
    assert equal(WorldSource(ALWAYS).draw(plan(4)), WorldSource(ALWAYS).draw(plan(4)))


def test_without_a_share_and_outside_of_training_nothing_changes() -> None:
    plain, seldom = SamplingConfig(), dataclasses.replace(ALWAYS, absent_share=0.3, objects_per_scene=2)
    for index in range(4):
        held_out = [WorldSource(sampling, split="validation").draw(plan(index)) for sampling in (plain, seldom)]
        assert equal(*held_out)
        sample = WorldSource(plain).draw(plan(index))
        scene = World("train", size=64).image(index, easy=index % 2 == 1)
        known = {text for texts in scene["sentences"] for text in texts} | set(scene["absent_sentences"])
        assert {entry.sentence for entry in sample.entries} <= known
    clips = [WorldSource(sampling).draw(ScenePlan("vos", 3, 64, 1, False, 3)) for sampling in (plain, seldom)]
    assert equal(*clips)


def test_the_vocabulary_grows_with_the_share_alone() -> None:
    assert WorldSource(SamplingConfig()).vocabulary() == vocabulary()
    grown = WorldSource(dataclasses.replace(ALWAYS, generalised_share=0.1)).vocabulary()
    assert set(grown) == {*vocabulary(), *generalised_vocabulary()} > set(vocabulary())


def test_labels_with_none_one_and_many_objects_give_one_loss() -> None:
    config = very_tiny("sampling.generalised_share=1", "sampling.absent_share=1", "sampling.objects_per_scene=3")
    source = WorldSource(config.sampling)
    tokenizer = build_tokenizer(source.vocabulary(), 24)
    model = build_model(config, len(tokenizer))
    samples = [source.draw(plan(index)) for index in range(4)]
    batch = Collator(tokenizer, model.config.text_length)(samples)
    entries = [entry for sample in samples for entry in sample.entries]
    counts = [len(label["boxes"]) for label in batch.inputs["labels"]]
    assert {min(count, 2) for count in counts} == {0, 1, 2} and len(counts) == len(entries)
    for label, entry in zip(batch.inputs["labels"], entries, strict=True):
        assert torch.equal(label["masks"].bool().any(0), torch.from_numpy(entry.target))
    output = model.train()(**batch.inputs)
    output.loss.backward()
    assert torch.isfinite(output.loss) and float(output.loss.detach()) > 0
    assert model.class_heads[0].weight.grad.abs().sum() > 0


def test_a_share_out_of_its_range_is_named() -> None:
    with pytest.raises(ValueError, match="sampling.generalised_share: got 1.5; accepted: 0 to 1"):
        SamplingConfig(generalised_share=1.5)
