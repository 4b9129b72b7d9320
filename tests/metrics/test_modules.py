"""The modules for the package `evaluate`, which is an optional one: they load by path and give our numbers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from places import ROOT
from transformers_uniref.metrics import ReferringScores, VideoScores
from transformers_uniref.metrics.modules import module_names, module_path

SQUARE = np.zeros((12, 16), dtype=np.uint8)
SQUARE[2:8, 2:8] = 1
MOVED = np.roll(SQUARE, 3, axis=1)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_every_module_is_packed_and_known_by_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "metrics/modules/*/*" in project["tool"]["setuptools"]["package-data"]["transformers_uniref"]
    assert len(module_names()) == 4
    for name in module_names():
        assert {"README.md", "requirements.txt", f"{name}.py"} <= {
            file.name for file in Path(module_path(name)).iterdir()
        }
    with pytest.raises(ValueError, match="`name` must be one of few_shot_segmentation, .*got 'bleu'"):
        module_path("bleu")


def test_sentences_score_as_with_the_accumulator() -> None:
    evaluate = pytest.importorskip("evaluate")
    metric = evaluate.load(module_path("referring_segmentation"))
    metric.add(prediction=MOVED, reference=SQUARE)
    metric.add_batch(predictions=[SQUARE], references=[SQUARE])
    expected = ReferringScores().update(MOVED > 0, SQUARE > 0).update(SQUARE > 0, SQUARE > 0).compute()
    assert metric.compute() == expected


def test_sentences_without_a_target_and_classes_are_known() -> None:
    evaluate = pytest.importorskip("evaluate")
    metric = evaluate.load(module_path("generalized_referring_segmentation"))
    result = metric.compute(predictions=[0 * SQUARE, SQUARE], references=[0 * SQUARE, SQUARE])
    assert (result["gIoU"], result["N-acc"], result["T-acc"]) == (1, 1, 1)
    metric = evaluate.load(module_path("few_shot_segmentation"))
    result = metric.compute(predictions=[SQUARE, MOVED], references=[SQUARE, SQUARE], categories=["cat", "dog"])
    assert result["classes"] == {"cat": 1, "dog": pytest.approx(1 / 3)}


def test_a_clip_scores_as_with_the_accumulator() -> None:
    evaluate = pytest.importorskip("evaluate")
    metric = evaluate.load(module_path("video_object_segmentation"))
    found, frames = [SQUARE, MOVED, SQUARE, SQUARE], [f"{number:05d}" for number in range(4)]
    metric.add_batch(predictions=found, references=[SQUARE] * 4, sequences=["a"] * 4, frames=frames)
    expected = VideoScores("mose-v2").update_clip(
        "a", {f: (mask, SQUARE) for f, mask in zip(frames, found, strict=True)}
    )
    assert metric.compute(protocol="mose-v2") == expected.compute()
