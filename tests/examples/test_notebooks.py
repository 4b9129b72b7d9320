"""The notebooks in `examples/` run from their first to their last cell, with small settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from places import EXAMPLES

SMALL: dict[str, dict[str, Any]] = {
    "quickstart": {"FRAMES": 3},
    "finetune_lora": {"STEPS": 2, "BATCH": 1, "HELD_OUT": 2},
    "annotate_video": {"FRAMES": 4},
    "evaluate": {"SCENES": 1, "CLIPS": 1},
}
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))


def cells(name: str) -> list[dict[str, Any]]:
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]


def tagged(name: str, tag: str) -> dict[str, Any]:
    (cell,) = [cell for cell in cells(name) if tag in cell["metadata"].get("tags", ())]
    return cell


def run(name: str, **settings: Any) -> dict[str, Any]:
    """The names that the cells leave behind, with other `settings` than the notebook's; nothing is installed."""
    namespace: dict[str, Any] = {}
    for number, cell in enumerate(cells(name)):
        tags = cell["metadata"].get("tags", ())
        if cell["cell_type"] != "code" or "install" in tags:
            continue
        exec(compile("".join(cell["source"]), f"{name}.ipynb, cell {number}", "exec"), namespace)
        if "parameters" in tags:
            assert set(settings) <= set(namespace)
            namespace |= settings
    return namespace


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In an empty folder, on one thread."""
    monkeypatch.chdir(tmp_path)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_four_notebooks_are_there() -> None:
    assert sorted(SMALL) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_begins_with_what_it_is_about_and_installs_the_package(name: str) -> None:
    first, second = cells(name)[:2]
    assert first["cell_type"] == "markdown" and first["source"][0].startswith("# ")
    assert second == tagged(name, "install")
    (command,) = [line for line in second["source"] if line.startswith("%")]
    assert re.fullmatch(r'%pip install -q "\{PACKAGE\}(\[[a-z,]+\])?"', command)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_small_and_keeps_at_most_one_picture(name: str) -> None:
    assert (EXAMPLES / f"{name}.ipynb").stat().st_size < 150_000
    with_output = [cell for cell in cells(name) if cell.get("outputs")]
    assert with_output in ([], [tagged(name, "picture")])
    assert all(list(output["data"]) == ["image/png"] for cell in with_output for output in cell["outputs"])
    assert all(cell["execution_count"] is None for cell in cells(name) if cell["cell_type"] == "code")


def test_quickstart_answers_sentences_examples_and_a_clip() -> None:
    left = run("quickstart", **SMALL["quickstart"])
    assert [answer["label"] for answer in left["answers"]] == left["sentences"]
    assert all(answer["mask"].size == (128, 128) for answer in [*left["answers"], left["found"]])
    assert len(left["shown"]) == 3 and left["result"]["segmentation"].any()


def test_a_clip_is_annotated_corrected_and_written(tmp_path: Path) -> None:
    left = run("annotate_video", **SMALL["annotate_video"])
    files = sorted((tmp_path / "annotated" / "masks").iterdir())
    assert [file.name for file in files] == [f"{number:05d}.png" for number in range(4)]
    assert Image.open(files[0]).mode == "P"
    assert (tmp_path / "annotated" / "overlay.mp4").stat().st_size > 0
    frame, number = left["frame"], left["number"]
    given = left["truth"][frame] == number
    assert given.any() and ((left["labels"][frame] == number) == given).all()  # the correction


def test_a_model_is_evaluated_in_four_ways(tmp_path: Path) -> None:
    left = run("evaluate", **SMALL["evaluate"])
    assert len(left["scores"]) == 1 and left["report"].to_dict()["counts"]["fss"]["miou_1shot"] == 1
    assert 0 < left["result"]["measures"]["J&F"] <= 1
    assert (tmp_path / "results" / "summary.json").is_file()


def test_an_adapter_is_trained_saved_and_merged(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    left = run("finetune_lora", **SMALL["finetune_lora"])
    assert len(left["after"]) == len(left["before"]) == 2
    assert (tmp_path / "night-camera" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "night-camera-merged" / "model.safetensors").is_file()
