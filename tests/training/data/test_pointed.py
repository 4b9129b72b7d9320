"""Training on objects that are pointed at: samples, batches, and a model that gains the encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from photograph_support import write_ade, write_coco
from training_support import very_tiny
from transformers_uniref.core.errors import UsageError
from transformers_uniref.training.config.world import MicroBatchConfig, SamplingConfig, check_micro_batches
from transformers_uniref.training.data.collation import Collator
from transformers_uniref.training.data.mixture import ScenePlan
from transformers_uniref.training.data.samples import Sample
from transformers_uniref.training.data.world_source import WorldSource
from transformers_uniref.training.model.factory import build_model
from transformers_uniref.training.model.tokenizer import build_tokenizer
from transformers_uniref.worlds import vocabulary
from transformers_uniref.worlds.pointing import KINDS, Pointed, draw_pointed, is_one_piece, next_click, together

SIZE = 64


def plan(index: int, task: str = "point", domain: str = "") -> ScenePlan:
    return ScenePlan(task, index, SIZE, 0, easy=False, seed=index, domain=domain)


def value_at(mask: np.ndarray, point: np.ndarray) -> bool:
    height, width = mask.shape
    return bool(mask[min(int(point[1] * height), height - 1), min(int(point[0] * width), width - 1)])


def check_entries(sample: Sample) -> None:
    for entry in sample.entries:
        assert entry.pointed is not None and entry.target.any()
        for point, label in zip(entry.pointed.points, entry.pointed.labels, strict=True):
            assert value_at(entry.target, point) == bool(label)
        if entry.pointed.box is not None:
            x0, y0, x1, y1 = entry.pointed.box
            rows, columns = np.nonzero(entry.target)
            assert 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1
            assert x0 <= (columns.mean() + 0.5) / SIZE <= x1 and y0 <= (rows.mean() + 0.5) / SIZE <= y1


def test_clicks_lie_on_their_object_and_excluding_ones_beside_it() -> None:
    source = WorldSource(SamplingConfig())
    samples = [source.draw(plan(index)) for index in range(25)]
    for sample in samples:
        assert 1 <= len(sample.entries) <= 3
        check_entries(sample)
    pointed = [entry.pointed for sample in samples for entry in sample.entries]
    assert any((one.labels == 0).any() for one in pointed) and any(one.box is not None for one in pointed)
    assert any(len(one.labels) > 4 for one in pointed) and any(len(one.labels) == 1 for one in pointed)


def test_equal_plans_give_equal_clicks() -> None:
    first, second = (WorldSource(SamplingConfig()).draw(plan(4)) for _ in range(2))
    for one, other in zip(first.entries, second.entries, strict=True):
        assert np.array_equal(one.pointed.points, other.pointed.points)


def test_photographs_ask_for_single_objects_in_one_piece(tmp_path: Path) -> None:
    folders = [str(write_coco(tmp_path / "coco")), str(write_ade(tmp_path / "ade"))]
    source = WorldSource(SamplingConfig(photographs=folders))
    for index in range(6):
        sample = source.draw(plan(index, domain="photographs"))
        check_entries(sample)
        assert all(entry.targets is None and is_one_piece(entry.target) for entry in sample.entries)


@pytest.mark.parametrize("kind", KINDS)
def test_the_smallest_object_can_be_pointed_at(kind: str) -> None:
    target = np.zeros((20, 30), dtype=bool)
    target[7, 11] = True
    for seed in range(5):
        made = draw_pointed(target, np.zeros((0, 20, 30), dtype=bool), np.random.default_rng(seed), kind)
        inputs = together([made])
        assert inputs["input_labels"].any() or (inputs["input_boxes"][0, 2:] > inputs["input_boxes"][0, :2]).all()


def test_the_next_click_is_in_the_middle_of_the_largest_error() -> None:
    target, found = np.zeros((2, 40, 40), dtype=bool)
    target[5:16, 5:16] = True
    first = next_click(Pointed(), target, found)
    assert first.labels.tolist() == [1] and np.allclose(first.points * 40, [[10.5, 10.5]])
    found[5:16, 5:16] = True
    found[20:35, 20:35] = True
    second = next_click(first, target, found)
    assert second.labels.tolist() == [1, 0] and np.allclose(second.points[1] * 40, [27.5, 27.5])


def test_a_batch_holds_one_kind_of_reference() -> None:
    sampling = SamplingConfig()
    check_micro_batches([MicroBatchConfig({"point": 2}), MicroBatchConfig({"point_ris": 2}, every=2)], sampling)
    with pytest.raises(UsageError, match="different kinds of references"):
        check_micro_batches([MicroBatchConfig({"point": 2, "ris": 2})], sampling)
    source, collate = WorldSource(sampling), Collator(build_tokenizer(vocabulary(), 24), 24)
    with_text = source.draw(plan(1, "point_ris"))
    assert {"input_ids", "input_points", "input_labels", "input_boxes"} <= set(collate([with_text]).inputs)
    with pytest.raises(UsageError, match="same kind"):
        collate([with_text, source.draw(plan(2))])


def test_a_model_gains_the_encoder_and_learns_it_alone(tmp_path: Path) -> None:
    words = build_tokenizer(vocabulary(), 24)
    base = build_model(very_tiny(), len(words))
    base.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    gains = ("architecture=initial_weights", f"initial_weights={tmp_path}", "model={use_point_references: true}")
    model = build_model(very_tiny(*gains, r"frozen=['^(?!point_encoder\.)']"), len(words))
    known = base.state_dict()
    state = model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in known.items())
    trained = {name.split(".")[0] for name, value in model.named_parameters() if value.requires_grad}
    assert trained == {"point_encoder"}
    source = WorldSource(SamplingConfig())
    batch = Collator(words, 24)([source.draw(plan(index)) for index in range(2)])
    model.fusion.modulation.bias.data.fill_(0.5)  # a new fusion is closed, and nothing would reach the encoder
    loss = model(**batch.inputs).loss
    loss.backward()
    reached = [name for name, value in model.point_encoder.named_parameters() if value.grad.abs().max() > 0]
    assert torch.isfinite(loss) and len(reached) > 20
    with pytest.raises(UsageError, match="the model is taken as it is"):
        build_model(very_tiny(*gains[:2], "model={use_mask_references: false}"), len(words))
