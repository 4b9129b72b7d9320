"""The fine-tuning examples measure, train and measure again; here one step each, with models that know nothing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("accelerate")
pytest.importorskip("peft")

from cli_support import save_tiny_checkpoint  # noqa: E402
from processor_support import small_processor  # noqa: E402
from transformers_uniref.core.palette import save_label_map  # noqa: E402
from transformers_uniref.worlds import World  # noqa: E402

QUICK = ["--steps", "1", "--json", "--override", "checkpoint.every=1000", "--override", "loader_workers=0"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "model")
    side = {"shortest_edge": 96, "longest_edge": 192}  # less would leave one pixel of the coarsest map
    small_processor(size=side, few_shot_size=side, video_size=side).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn frames with their label maps, `frames/0.png` and `masks/0.png` on."""
    folder = tmp_path_factory.mktemp("clip")
    drawn = World("test", size=64).clip(0, frames=6)
    for part in ("frames", "masks"):
        (folder / part).mkdir()
    for number, (frame, labels) in enumerate(zip(drawn["frames"], drawn["label_maps"], strict=True)):
        Image.fromarray(frame).save(folder / "frames" / f"{number}.png")
        save_label_map(folder / "masks" / f"{number}.png", labels)
    return folder


def assert_an_adapter_came_out(report: dict[str, Any]) -> None:
    assert report["before"].keys() == report["after"].keys()
    assert all(0 <= value <= 1 for value in [*report["before"].values(), *report["after"].values()])
    assert (Path(report["adapter"]) / "adapter_model.safetensors").stat().st_size == report["adapter_bytes"]


def test_few_shot_pictures_train_an_adapter(example: Any, tiny: Path, clip: Path, tmp_path: Path) -> None:
    pictures, masks = clip / "frames", clip / "masks"
    training = ["--images", pictures / "0.png", pictures / "2.png", "--masks", masks / "0.png", masks / "2.png"]
    held_out = ["--held-out", pictures / "5.png", "--held-out-masks", masks / "5.png"]
    code, _, report = example(
        "finetune_few_shot", *training, *held_out, "--model", tiny, "--output", tmp_path / "run", *QUICK
    )
    assert code == 0 and list(report["before"]) == ["5"]
    assert_an_adapter_came_out(report)
    code, said, _ = example("finetune_few_shot", *training[:2], "--masks", masks / "0.png", *held_out, "--output", "x")
    assert code == 2 and said == "--images: give two pictures or more, and as many --masks\n"


def test_frames_of_a_clip_train_an_adapter(example: Any, tiny: Path, clip: Path, tmp_path: Path) -> None:
    folders = ["--frames", clip / "frames", "--masks", clip / "masks", "--output", tmp_path / "run"]
    code, _, report = example(
        "finetune_clip", *folders, "--train-frames", "0", "2", "--held-out", "5", "--model", tiny, *QUICK
    )
    assert code == 0 and {name.split()[0] for name in report["before"]} == {"follow", "return", "mean"}
    assert_an_adapter_came_out(report)
    code, said, _ = example("finetune_clip", *folders, "--train-frames", "0", "--held-out", "9")
    assert code == 2 and said.startswith("--train-frames, --held-out: without frame or mask: 9")


def test_an_object_returns_when_it_is_followed_well_and_not_when_it_is_lost(
    example: Any, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: ModuleType = importlib.import_module("finetune_clip")
    frames = {str(number): np.zeros((8, 8, 3), np.uint8) for number in range(8)}
    labels = np.zeros((8, 8), np.uint8)
    labels[:4], labels[4:, 4:] = 1, 2
    ways: list[list[str]] = []

    def follow(model: Any, processor: Any, frames: Any, prompts: Any) -> Iterator[Any]:
        """Objects stay where they are given; the second is lost."""
        ways.append(list(frames))
        (given,) = prompts.values()
        for name in frames:
            yield name, {1: given == 1}

    monkeypatch.setattr(module, "follow", follow)
    assert module.there_and_back(None, None, frames, "1", labels) == {"1 object 1": 1.0, "1 object 2": 0.0}
    assert module.there_and_back(None, None, frames, "7", np.uint8(labels == 2) * 2) == {"7 object 2": 0.0}
    assert ways == [list("123456"), list("654321"), list("765432")]


def test_a_tiny_sam_learns_points_and_gets_an_adapter(example: Any, tmp_path: Path) -> None:
    few = [part for number in range(2) for part in ("--override", f"datasets.{number}.samples=4")]
    small = ["--override", "datasets.0.batch_size=1", "--override", "datasets.1.batch_size=1"]
    code, said, report = example(
        "finetune_sam", "--point-steps", "1", "--clips", "2", "--output", tmp_path / "run", *QUICK, *few, *small
    )
    assert code == 0 and "points 1/1: IoU" in said
    assert report["before"]["first mask repeated"] == report["after"]["first mask repeated"]
    assert_an_adapter_came_out(report)
