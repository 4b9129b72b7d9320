"""The encoder of clicks taught by the model's own masks: nothing else moves, and it comes nearer to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

pytest.importorskip("accelerate")

from cli_support import save_tiny_checkpoint  # noqa: E402
from photograph_support import write_coco  # noqa: E402


def test_a_model_gets_an_encoder_of_clicks_and_nothing_else_moves(example: Any, tmp_path: Path) -> None:
    given = Path(save_tiny_checkpoint(tmp_path / "given"))
    coco = write_coco(tmp_path / "coco", pictures=4)
    options = ("--photographs", coco, "--pictures", 2, "--images", 3, "--size", 128, "--steps", 14)
    code, said, _ = example("train_pointing", given, tmp_path / "out", *options)
    assert code == 0, said
    distances = [float(line.split()[3].rstrip(",")) for line in said.splitlines() if line.startswith("step ")]
    assert len(distances) == 2 and distances[1] < distances[0]
    model = AutoModel.from_pretrained(tmp_path / "out")
    assert model.config.use_point_references
    before, after = AutoModel.from_pretrained(given).state_dict(), model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(name.startswith("point_encoder.") for name in set(after) - set(before))


def test_a_folder_with_something_in_it_is_refused(example: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("")
    code, said, _ = example("train_pointing", "uniref-pp", tmp_path / "out")
    assert code == 2 and "output_dir" in said
