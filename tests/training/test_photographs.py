"""Training on photographs: samples, the heads that exist in training alone, and the exchange of the text encoder."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from photograph_support import write_ade, write_coco
from training_support import very_tiny
from transformers_uniref.training.config.training import load_config
from transformers_uniref.training.data.collation import Collator
from transformers_uniref.training.data.mixture import ScenePlan
from transformers_uniref.training.data.world_source import WorldSource
from transformers_uniref.training.loop import train
from transformers_uniref.training.model.factory import build_model
from transformers_uniref.training.model.text_exchange import exchange_text_encoder
from transformers_uniref.training.model.tokenizer import build_tokenizer
from transformers_uniref.training.run_provenance import data_of
from transformers_uniref.training.step.auxiliary_head import (
    SemanticHead,
    build_heads,
    class_counts,
    memory_maps,
    recorded_levels,
)
from transformers_uniref.training.step.losses import batch_losses, weights_at
from transformers_uniref.worlds import World

SIZE = 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[str]:
    where = tmp_path_factory.mktemp("photographs")
    return [str(write_coco(where / "coco")), str(write_ade(where / "ade"))]


def overrides(folders: list[str], *more: str) -> tuple[str, ...]:
    micro_batches = (
        "micro_batches=[{scenes: {ris: 2}, size: 64, domain: photographs, full_resolution_masks: false},"
        " {scenes: {fss: 1}, size: 64, domain: photographs, every: 2}]"
    )
    return (
        micro_batches,
        f"sampling.photographs=[{', '.join(folders)}]",
        "auxiliary={weight: 1.0, memory: 1.0, semantic: 1.0}",
        *more,
    )


def plan(task: str, index: int, shots: int = 0) -> ScenePlan:
    return ScenePlan(task, index, SIZE, shots, easy=False, seed=index, domain="photographs")


def test_entries_carry_one_mask_for_each_object_that_a_sentence_means(folders) -> None:
    source = WorldSource(very_tiny(*overrides(folders)).sampling)
    several = absent = 0
    for index in range(60):
        sample = source.draw(plan("ris", index))
        assert sample.semantic is not None and sample.semantic.shape == (SIZE, SIZE)
        for entry in sample.entries:
            absent += not entry.target.any()
            if entry.targets is not None:
                several += 1
                assert entry.targets.masks is not None
                assert len(entry.targets.masks) > 1 and np.array_equal(entry.targets.masks.any(0), entry.target)
    assert several and absent


def test_a_batch_of_drawings_has_no_classes_and_one_of_photographs_has(folders) -> None:
    config = very_tiny(*overrides(folders))
    source, collator = WorldSource(config.sampling), Collator(build_tokenizer(["the"], 16), 16)
    batch = collator([source.draw(plan("ris", index)) for index in range(3)])
    assert batch.semantic is not None
    classes, numbers = batch.semantic
    assert classes.shape == (3, SIZE, SIZE) and classes.min() >= -1 and set(numbers.tolist()) <= {0, 1}
    drawn = source.draw(ScenePlan("ris", 0, SIZE, 0, easy=True, seed=0))
    assert collator([drawn]).semantic is None


def test_the_semantic_head_asks_each_photograph_for_the_classes_of_its_folder_and_passes_over_the_unlabelled() -> None:
    torch.manual_seed(0)
    head = SemanticHead(8, [3, 2], levels=2)
    levels = [torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4)]
    labels = torch.full((2, 32, 32), -1)
    labels[0, :16], labels[1, 16:] = 2, 1
    loss, right = head(levels, labels, torch.tensor([0, 1]))
    assert 0 <= float(right) <= 1
    changed = [level.clone() for level in levels]
    for level in changed:
        level[0, :, level.shape[2] // 2 :] += 5.0  # there the first photograph has no label
    assert torch.equal(head(changed, labels, torch.tensor([0, 1]))[0], loss)
    swapped, _ = head(levels, labels.clamp(max=1), torch.tensor([1, 0]))
    assert not torch.isclose(swapped, loss)


def test_the_semantic_head_learns_what_separates_classes() -> None:
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 8))
    level = torch.nn.functional.one_hot(labels, 8).permute(0, 3, 1, 2).float()
    head = SemanticHead(8, [3], levels=1)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        loss, right = head([level], labels, torch.tensor([0, 0]))
        loss.backward()
        optimizer.step()
    assert float(right) == 1.0 and float(loss.detach()) < 0.1


def test_every_head_has_a_gradient_whatever_folder_was_shown() -> None:
    head = SemanticHead(8, [3, 2], levels=1)
    loss, _ = head([torch.randn(1, 8, 4, 4)], torch.zeros(1, 8, 8, dtype=torch.long), torch.tensor([1]))
    loss.backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_the_memory_falls_apart_into_the_levels_maps() -> None:
    levels = (torch.randn(2, 4, 3, 5), torch.randn(2, 4, 2, 2))
    memory = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1)
    for part, level in zip(memory_maps(memory, levels), levels, strict=True):
        assert torch.equal(part, level)


def test_the_losses_add_what_each_head_asks(folders) -> None:
    config = very_tiny(*overrides(folders, "alignment.phases=[]"))
    source, tokenizer = WorldSource(config.sampling), build_tokenizer(["the", "dog"], 16)
    model = build_model(config, len(tokenizer))
    batch = Collator(tokenizer, model.config.text_length)([source.draw(plan("ris", index)) for index in range(2)])
    heads = build_heads(model.config.d_model, config.auxiliary, config.sampling.photographs)
    weights = weights_at(0, config.steps, config.auxiliary, config.alignment)
    with recorded_levels(model.visual_encoder) as seen:
        losses = batch_losses(model.eval(), heads, batch, weights)
    assert len(seen) == 1 and len(seen[0]) == 4
    terms = losses.terms
    added = terms["auxiliary"] + terms["auxiliary_memory"] + terms["semantic"]
    assert torch.allclose(losses.total.detach(), terms["loss"] + added, rtol=1e-5)
    assert class_counts(config.sampling.photographs) == [5, 5]


def test_a_run_on_photographs_ends_in_a_model(folders, tmp_path: Path) -> None:
    final = train(very_tiny(*overrides(folders, "steps=2")), tmp_path / "run")
    assert (tmp_path / "run" / "final" / "model.safetensors").is_file()
    assert final is None or final


def test_photographs_need_their_folders_and_tasks_about_single_pictures(folders) -> None:
    with pytest.raises(ValueError, match="sampling.photographs: folders of photographs"):
        very_tiny(*overrides(folders, "sampling.photographs=[]")).require_complete()
    clips = "micro_batches=[{scenes: {vos: 1}, domain: photographs}]"
    with pytest.raises(
        ValueError, match="domain: got 'photographs' with vos; accepted with the tasks ris, fss, detection, point"
    ):
        very_tiny(*overrides(folders, clips))


def test_another_text_encoder_learns_to_say_what_the_old_one_said() -> None:
    config = very_tiny()
    scenes = [World(split="train", size=64, seed=3).image(index) for index in range(40)]
    sentences = sorted({text for scene in scenes for texts in scene["sentences"] for text in texts})
    words = sorted({word for text in sentences for word in text.split()})
    old = build_tokenizer(words, 16)
    model = build_model(config, len(old)).eval()
    before = copy.deepcopy(model.state_dict())
    new = build_tokenizer([*words, "submarine"], 40)
    torch.manual_seed(1)
    encoder = BertModel(
        BertConfig(
            vocab_size=len(new),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=40,
        ),
        add_pooling_layer=False,
    )
    lines: list[str] = []
    options = {"text_length": 40, "steps": 200, "batch_size": 16, "learning_rate": 2e-3, "report": lines.append}
    changed = exchange_text_encoder(model, old, encoder, new, sentences, **options)
    errors = [float(line.split("error ")[1].split()[0]) for line in lines]
    assert errors[-1] < 0.65 * errors[0]
    assert changed.config.text_length == 40 and changed.config.text_config.hidden_size == 32
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        if not name.startswith("language_encoder."):
            assert torch.equal(changed.state_dict()[name], value)


def test_a_run_on_photographs_says_so() -> None:
    folders = "sampling.photographs=[data/coco/train, ade]"
    config = load_config("photographs", [folders, "sampling.photo_folder=clips", "initial_weights=START"])
    named = {part["name"]: part["task"] for part in data_of(config)}
    assert named["photographs (coco/train, ade)"] == "detection, fss, ris"
    assert set(named) == {"procedural world", "world of photographs", "photographs (coco/train, ade)"}
    assert [part["name"] for part in data_of(load_config("world-smoke"))] == ["procedural world"]
