"""`uniref demo`: every task is asked, drawn and counted, the same way again for the same seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli_support import tiny_config
from processor_support import small_tokenizer
from transformers_uniref import UniRefImageProcessorPil, UniRefModel, UniRefProcessor
from transformers_uniref.frontends.cli import demo
from transformers_uniref.frontends.cli.demonstration import tasks as demo_tasks
from transformers_uniref.frontends.cli.demonstration.pictures import clip_sheet, picture_sheet
from transformers_uniref.frontends.cli.demonstration.tasks import ClipAnswer, PictureAnswer
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.worlds.drawn.world import World

TASKS = {
    "referring-segmentation",
    "few-shot-segmentation",
    "video-object-segmentation",
    "referring-video-segmentation",
    "referring-video-segmentation + mask",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    UniRefModel(tiny_config()).save_pretrained(folder)
    small = UniRefImageProcessorPil(size={"shortest_edge": 96, "longest_edge": 96})
    UniRefProcessor(small, small_tokenizer()).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A demonstration of a few scenes, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("SENTENCES", "SHOTS", "SHOWN_SENTENCES", "SHOWN_EXAMPLES"):
        monkeypatch.setattr(demo, name, 2)
    for name in ("CLIPS", "SHOWN_CLIPS"):
        monkeypatch.setattr(demo, name, 1)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*of which the tokenizer knows no word")
def test_all_tasks_are_asked_drawn_and_counted(model: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["demo", "--model", model, "--device", "cpu"]
    assert main([*command, "--seed", "3", "--output", "first", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert set(result["tasks"]) == TASKS and result["seed"] == 3 and result["seconds"] > 0
    for counted in result["tasks"].values():
        assert 0 <= counted["miou"] <= 1 and counted["n"] >= 1
    assert result["tasks"]["referring-segmentation"]["n"] == 2
    assert sorted(result["files"]) == sorted(f"first/{name}" for name in demo.FILES)
    for name in demo.FILES:
        with Image.open(small / "first" / name) as picture:
            assert getattr(picture, "n_frames", 1) == (8 if name.endswith(".gif") else 1)
            assert name in shown.err

    assert main([*command, "--seed", "3"]) == 0
    again = capsys.readouterr()
    assert (small / "out" / "demo" / demo.FILES[0]).read_bytes() == (small / "first" / demo.FILES[0]).read_bytes()
    assert all(name in again.out for name in TASKS) and "seed 3" in again.err

    before = {file: file.stat().st_mtime_ns for file in (small / "first").iterdir()}
    assert main([*command, "--output", "first"]) == 2
    assert "allow to overwrite" in capsys.readouterr().err
    assert {file: file.stat().st_mtime_ns for file in (small / "first").iterdir()} == before


def test_seeds_are_drawn_fresh_and_checked(model: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def remember(world: World, *others: Any) -> dict[str, Any]:
        seeds.append((world.seed, world.split))
        raise FileNotFoundError("stop here")

    monkeypatch.setattr(demo, "demonstrate", remember)
    for _ in range(3):
        assert main(["demo", "--model", model]) == 2
    assert len({seed for seed, _ in seeds}) > 1 and {split for _, split in seeds} == {"test"}
    assert main(["demo", "--model", model, "--seed", "-1"]) == 2
    assert list(small.iterdir()) == []


class Truthful:
    """Answers in place of a pipeline with what it was told in advance."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    def __call__(self, asked: Any, **options: Any) -> Any:
        self.asked.append((asked, options))
        return self.answers.pop(0)


def right_masks(world: World, index: int = 0) -> list[dict[str, Any]]:
    maps = world.clip(index, frames=8)["label_maps"]
    return [{"masks": {number: frame == number for number in (1, 2, 3, 4)}} for frame in maps]


def test_a_perfect_model_would_get_full_marks() -> None:
    world = World(split="test", size=64, seed=5)
    scene = world.few_shot(0)
    right = {"mask": Image.fromarray(scene["mask"].astype(np.uint8) * 255), "score": 1.0}
    [answer] = demo_tasks.find_by_example(Truthful([[right]]), world, 1)
    assert answer.iou == 1 and answer.asked == scene["category"]

    follower = Truthful(right_masks(world))
    [clip] = demo_tasks.follow_masks(follower, world, 1)
    assert clip.object_ious == [1.0] * len(clip.truth)
    assert all(np.isnan(ious[: clip.given[number] + 1]).all() for number, ious in clip.frame_ious.items())
    masks = follower.asked[0][1]["masks"]
    assert {number: frame for frame, given in masks.items() for number in given} == clip.given


def test_nothing_found_counts_only_where_nothing_shows() -> None:
    frames = np.zeros((3, 4, 4, 3), dtype=np.uint8)
    truth = np.zeros((3, 4, 4), dtype=bool)
    truth[:2, :2] = True
    clip = ClipAnswer(frames, {1: truth}, {1: truth & False}, {1: "a dog"}, {})
    assert clip.frame_ious[1].tolist() == [0, 0, 1] and clip.object_ious == [pytest.approx(1 / 3)]
    late = ClipAnswer(frames, {1: truth}, {1: truth}, {}, {1: 2})
    assert late.object_ious == []


def test_sheets_show_every_question() -> None:
    picture = np.zeros((8, 8, 3), dtype=np.uint8)
    mask = np.eye(8, dtype=bool)
    answer = PictureAnswer(picture, mask, mask, "a dog", 0.5)
    example = PictureAnswer(picture, mask, ~mask, "star", 0.5, (picture, mask))
    assert answer.iou == 1 and example.iou == 0
    assert picture_sheet([answer] * 4).shape[1] > picture_sheet([answer] * 4, questions_in_a_row=1).shape[1]
    assert picture_sheet([example] * 4).shape[1] > picture_sheet([answer] * 4).shape[1]
    clip = ClipAnswer(np.stack([picture] * 2), {1: np.stack([mask] * 2)}, {1: np.stack([mask] * 2)}, {1: "a dog"}, {})
    one, two = clip_sheet({"by mask": [clip]}), clip_sheet({"by sentence": [clip], "by both": [clip]})
    assert two.shape[0] > one.shape[0] and two.shape[1] == one.shape[1]
