"""What a model counts as an object, chosen on scenes that were held out."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from processor_support import small_processor
from transformers_uniref.evaluation import all_targets_tuning as tuning
from transformers_uniref.evaluation.all_targets_tuning import OVERLAPS, RankedAnswers, rank_objects, tune_all_targets
from transformers_uniref.metrics import AllTargetsScores
from transformers_uniref.modeling.object_choice import ObjectChoice
from transformers_uniref.worlds.scenes import Reference

SIDE, QUERIES = 24, 6


def rectangle(random: np.random.Generator) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    (top, left), (high, wide) = random.integers(0, 16, 2), random.integers(2, 9, 2)
    mask[top : top + high, left : left + wide] = True
    return mask


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any]]:
    """Scenes with none, one or several objects a sentence, and what a model says about them."""
    random = np.random.default_rng(3)
    scenes, said = [], []
    for number in range(30):
        masks = np.stack([rectangle(random) for _ in range(3)])
        references = [Reference(f"{number} {k}", tuple(range(k)), "kind") for k in range(4)]
        scenes.append((np.zeros((SIDE, SIDE, 3), np.uint8), masks, references))
        seen = np.stack([[*masks, *(rectangle(random) for _ in range(QUERIES - 3))] for _ in references])
        logits = torch.from_numpy(random.normal(-1, 2, (4, QUERIES, 1)))
        masks_said = (torch.from_numpy(seen).float() - 0.5) * 20
        sizes = torch.tensor([[SIDE, SIDE]] * 4)
        queries = torch.arange(QUERIES).repeat(4, 1)
        output = dict(logits=logits, pred_masks=masks_said, mask_queries=queries)
        said.append({**output, "image_sizes": sizes, "padded_sizes": sizes})
    answers = iter(said)
    question = SimpleNamespace(inputs={}, sizes=[(SIDE, SIDE)] * 4)
    monkeypatch.setattr(tuning, "prepare", lambda *_, **__: question)
    monkeypatch.setattr(tuning, "compute", lambda *_: [next(answers)])
    return scenes, said


def test_what_is_compared_is_what_the_model_would_answer(asked: Any) -> None:
    scenes, said = asked
    processor = small_processor()
    ranked = rank_objects(SimpleNamespace(device="cpu"), processor, scenes)
    choices = [
        ObjectChoice(threshold, share, score, *overlaps)
        for threshold, share, score in ((0.1, 0.4, 0.02), (0.5, 0.0, 0.3), (0.3, 0.6, 0.5), (0.7, 0.2, 0.9))
        for overlaps in OVERLAPS
    ]
    for choice in choices:
        scores = AllTargetsScores()
        for (_, masks, references), output in zip(scenes, said, strict=True):
            results = processor.post_process_referring_segmentation(
                SimpleNamespace(**output), threshold=choice.threshold, targets="all", choice=choice
            )
            for reference, result in zip(references, results, strict=True):
                found = [one["segmentation"].numpy() for one in result["objects"]]
                stacked = np.stack(found) if found else np.zeros((0, SIDE, SIDE), dtype=bool)
                scores.update(stacked, [one["score"] for one in result["objects"]], masks[list(reference.numbers)])
        measured = ranked[choice.same_overlap, choice.covered].measure(choice)
        assert measured == pytest.approx({name: scores.compute()[name] for name in measured})
    assert len({ranked[one.same_overlap, one.covered].measure(one)["exact_count"] for one in choices}) > 4


def test_the_choice_is_the_one_that_is_right_where_one_is() -> None:
    scores = np.array([[0.8, 0.3, 0.06], [0.5, 0.24, -1], [0.06, 0.05, 0.05], [0.9, 0.7, 0.26], [0.13, 0.05, -1]])
    meant = np.array([2, 2, 0, 3, 1])
    ious = np.zeros((5, 4))
    ious[np.arange(5), meant] = 1
    right = RankedAnswers(scores, scores.max(1), ious, meant)
    choice, measured = tune_all_targets({"some": {(0.5, 0.8): right}, "same": {(0.5, 0.8): right}})
    assert set(measured["some"].values()) == {1.0} and measured["same"] == measured["some"]
    assert choice.threshold is not None and 0.06 <= choice.threshold < 0.13
    assert max(choice.least_score, 0.8 * choice.least_share) > 0.06 and choice.least_share < 0.33
    with pytest.raises(ValueError, match="`scenes` must have a sentence"):
        rank_objects(SimpleNamespace(device="cpu"), small_processor(), [])


@pytest.mark.filterwarnings("ignore::transformers_uniref.processors.vocabulary.NothingUnderstoodWarning")
def test_the_example_saves_the_choice_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoProcessor

    from cli_support import save_tiny_checkpoint
    from photograph_support import write_coco

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    folder = save_tiny_checkpoint(tmp_path / "model")
    processor = AutoProcessor.from_pretrained(folder)
    processor.image_processor.size = {"shortest_edge": 96, "longest_edge": 160}
    processor.save_pretrained(folder)
    coco = write_coco(tmp_path / "coco", pictures=80)
    before = json.loads((folder / "processor_config.json").read_text())
    counts = ["--images", "2", "--pictures", "2", "--photographs", str(coco)]

    def run(model: object, *more: str) -> int:
        monkeypatch.setattr(sys, "argv", ["tune_all_targets.py", str(model), *counts, *more])
        return int(importlib.import_module("tune_all_targets").main())

    assert run(folder) == 0
    assert json.loads((folder / "processor_config.json").read_text()) == before
    chosen = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert run(folder, "--save") == 0 and json.loads((folder / "processor_config.json").read_text()) == before | chosen
    assert AutoProcessor.from_pretrained(folder).object_choice == ObjectChoice(**chosen["all_targets"])
    assert "photographs, now" in capsys.readouterr().out
    assert run(tmp_path, "--save") == 2 and "processor_config.json" in capsys.readouterr().err
