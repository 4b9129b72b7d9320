"""The score trained alone, by the example that does it: nothing else of the model moves, and the score learns."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

pytest.importorskip("accelerate")
pytest.importorskip("datasets")

from cli_support import save_tiny_checkpoint  # noqa: E402
from photograph_support import write_ade, write_coco  # noqa: E402
from places import EXAMPLES  # noqa: E402


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the example: its exit code and what it says."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["train_score.py", *map(str, arguments)])
        code = importlib.import_module("train_score").main()
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_only_the_score_moves_and_its_loss_falls(run: Any, tmp_path: Path) -> None:
    coco, ade = write_coco(tmp_path / "coco", pictures=4), write_ade(tmp_path / "ade", pictures=3)
    document = json.loads((coco / "instances.json").read_text())
    sentences = [
        {"image_id": one["image_id"], "text": f"thing {one['category_id']}", "annotation_ids": [one["id"]]}
        for one in document["annotations"]
    ]
    (coco / "sentences.json").write_text(json.dumps(sentences))
    code, said = run(
        "uniref-pp", tmp_path / "out", "--photographs", coco, ade, "--pictures", 3, "--steps", 2, "--passes", 4
    )  # fmt: skip
    assert code == 0, said
    losses = [float(line.split()[-1]) for line in said.splitlines() if line.startswith("pass ")]
    assert len(losses) == 4 and losses[-1] < losses[0]
    before, after = (AutoModel.from_pretrained(name).state_dict() for name in ("uniref-pp", tmp_path / "out"))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("mask_pooled_score.") for name in moved)


def test_a_model_without_the_score_is_refused(run: Any, tmp_path: Path) -> None:
    code, said = run(save_tiny_checkpoint(tmp_path / "given"), tmp_path / "out")
    assert code == 2 and "mask_pooled_scores" in said and not (tmp_path / "out").exists()
