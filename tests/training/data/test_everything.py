"""Training without a reference: all objects of a picture, and what nobody has marked is no mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model_support import label, picture, small_model
from photograph_support import write_ade, write_coco
from training_support import very_tiny
from transformers_uniref.core.errors import UsageError
from transformers_uniref.modeling.losses.class_losses import certainty_in_boxes
from transformers_uniref.training.data.collation import Collator
from transformers_uniref.training.data.mixture import Mixture, ScenePlan
from transformers_uniref.training.data.world_source import WorldSource
from transformers_uniref.training.loop import train
from transformers_uniref.training.model.tokenizer import build_tokenizer
from transformers_uniref.worlds import World
from transformers_uniref.worlds.photographs import Photographs

SIZE = 64


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    """The first photograph has a crowd in its upper half."""
    folder = write_coco(tmp_path_factory.mktemp("photographs") / "coco")
    document = json.loads((folder / "instances.json").read_text())
    for one in document["images"]:
        width, height = one["width"], one["height"]
        corners = [0, 0, width, 0, width, height / 4, 0, height / 4]
        document["annotations"].append(
            {"id": 1000 + one["id"], "image_id": one["id"], "category_id": 1, "segmentation": [corners], "iscrowd": 1}
        )
    (folder / "instances.json").write_text(json.dumps(document))
    return folder


def test_a_drawn_scene_is_asked_for_all_its_objects() -> None:
    source, world = WorldSource(very_tiny().sampling), World("train", size=SIZE)
    for index in range(6):
        (entry,) = source.draw(ScenePlan("detection", index, SIZE, 0, easy=False, seed=index)).entries
        assert entry.sentence is None and entry.reference_masks is None and entry.certainty is None
        assert entry.targets is not None and np.array_equal(entry.targets.masks, world.image(index)["masks"])
        assert not entry.targets.class_labels.any()


def test_what_is_unmarked_in_a_photograph_is_uncertain_and_a_crowd_is_nothing_known(coco) -> None:
    photographs = Photographs([coco, write_ade(coco.parent / "ade")], size=SIZE)
    seen = set()
    for index in range(20):
        scene = photographs.everything(index)
        assert scene.folder == 0 and len(scene.masks) == len(scene.names) > 0 and not scene.references
        assert scene.certainty is not None and (scene.certainty[scene.masks.any(0)] == 1).all()
        seen |= set(np.unique(scene.certainty).tolist())
    assert seen == {0.0, 0.25, 1.0}
    largest = photographs.everything(3, most=1)
    assert len(largest.masks) == 1
    assert largest.masks[0].sum() == photographs.everything(3).masks.sum((1, 2)).max()


def test_a_folder_that_tells_no_objects_apart_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match="told apart"):
        Photographs([write_ade(tmp_path / "ade")], size=SIZE).everything(0)


def test_certainty_is_the_mean_of_a_map_in_a_box() -> None:
    certainty = torch.zeros(4, 8)
    certainty[:, 4:] = 1.0
    boxes = torch.tensor([[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0], [0.5, 0.5, 1.0, 1.0], [1.0, 1.0, 0.0, 0.0]])
    assert certainty_in_boxes(certainty, boxes).tolist() == [0.0, 1.0, 0.5, 1.0]


@pytest.mark.parametrize("pooled", [False, True])
def test_queries_where_nothing_is_known_are_not_punished(pooled: bool) -> None:
    torch.manual_seed(0)
    model = small_model(mask_pooled_scores=pooled).eval()
    inputs = {"pixel_values": picture(1, 64, 64)}
    target = label(64)
    losses = {}
    for name, value in (("sure", 1.0), ("half", 0.5), ("unknown", 0.0)):
        labels = [{**target, "certainty": torch.full((64, 64), value)}]
        with torch.no_grad():
            losses[name] = model(**inputs, labels=labels).loss_dict
    with torch.no_grad():
        plain = model(**inputs, labels=[target]).loss_dict
    for term in ("loss_ce", "loss_ce_enc", *(["loss_score"] if pooled else [])):
        assert losses["sure"][term] == plain[term]
        assert losses["unknown"][term] < losses["half"][term] < plain[term]
    for term in ("loss_bbox", "loss_mask"):
        assert losses["unknown"][term] == plain[term]


def test_without_a_reference_the_score_still_looks_at_masks() -> None:
    model, plain = small_model(mask_pooled_scores=True).eval(), small_model().eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    image = picture(2, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(model(pixel_values=image).logits, plain(pixel_values=image).logits)


def test_it_is_refused_beside_tasks_with_references() -> None:
    with pytest.raises(UsageError, match="different kinds"):
        very_tiny("micro_batches=[{scenes: {detection: 1, ris: 1}}]")


def test_a_run_learns_from_drawn_and_photographed_scenes(coco, tmp_path) -> None:
    config = very_tiny(
        "micro_batches=[{scenes: {ris: 1}}, {scenes: {detection: 2}},"
        " {scenes: {detection: 2}, size: 64, domain: photographs, full_resolution_masks: false}]",
        f"sampling.photographs=[{coco}]",
        "model.mask_pooled_scores=true",
        "auxiliary={weight: 1.0, memory: 1.0, semantic: 1.0}",
        "steps=2",
        "pictures.every=2",
    )
    plans = Mixture(config).plan(0)
    assert [one.shots for one in plans[1].scenes] == [0, 0]
    source, collator = WorldSource(config.sampling), Collator(build_tokenizer(["the"], 16), 16)
    batch = collator([source.draw(scene) for scene in plans[2].scenes])
    assert set(batch.inputs) == {"pixel_values", "pixel_mask", "image_indices", "labels"}
    assert all(one["certainty"].shape == (SIZE, SIZE) for one in batch.inputs["labels"])
    train(config, tmp_path / "run")
    record = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()][-1]
    assert 0 <= record["detection/recall"] <= 1 and np.isfinite(record["detection/loss"])
