"""The score trained alone, by the example that does it: nothing else of the model moves, and the score learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

pytest.importorskip("accelerate")
pytest.importorskip("datasets")

from cli_support import save_tiny_checkpoint  # noqa: E402
from photograph_support import write_ade, write_coco  # noqa: E402


def test_only_the_score_moves_and_its_loss_falls(example: Any, tmp_path: Path) -> None:
    coco, ade = write_coco(tmp_path / "coco", pictures=4), write_ade(tmp_path / "ade", pictures=3)
    document = json.loads((coco / "instances.json").read_text())
    sentences = [
        {"image_id": one["image_id"], "text": f"thing {one['category_id']}", "annotation_ids": [one["id"]]}
        for one in document["annotations"]
    ]
    (coco / "sentences.json").write_text(json.dumps(sentences))
    options = ("--photographs", coco, ade, "--pictures", 3, "--steps", 2, "--passes", 4)
    code, said, _ = example("train_score", "uniref-pp", tmp_path / "out", *options)
    assert code == 0, said
    losses = [float(line.split()[-1]) for line in said.splitlines() if line.startswith("pass ")]
    assert len(losses) == 4 and losses[-1] < losses[0]
    before, after = (AutoModel.from_pretrained(name).state_dict() for name in ("uniref-pp", tmp_path / "out"))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("mask_pooled_score.") for name in moved)


def test_a_model_without_the_score_is_refused(example: Any, tmp_path: Path) -> None:
    code, said, _ = example("train_score", save_tiny_checkpoint(tmp_path / "given"), tmp_path / "out")
    assert code == 2 and "mask_pooled_scores" in said and not (tmp_path / "out").exists()
