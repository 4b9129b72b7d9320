"""The walks of docs/architecture.md: what the page says is what is passed."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from places import ROOT
from training_support import VERY_TINY
from transformers_uniref import UniRefModel, UniRefProcessor
from transformers_uniref.core.families import DEFAULT_CHECKPOINT
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.worlds import World

PACKAGE = str(ROOT / "src" / "transformers_uniref") + "/"


def told(beginning: str) -> list[str]:
    """The files of the walk that begins like this on the page, and the number that it claims."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    (walk,) = re.findall(rf"^\*\*{beginning}.*?(?=\n\n)", page, re.MULTILINE | re.DOTALL)
    files = re.findall(r"`((?:\w+/)+\w+\.py)`", walk)
    assert int(re.findall(r"(\d+)\.$", walk)[0]) == len(files)
    return files


@contextmanager
def entered() -> Iterator[list[str]]:
    """The files of the package whose functions are called inside the block, by the first call of each."""
    seen: dict[str, None] = {}

    def note(frame, event: str, _) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(PACKAGE) and not frame.f_code.co_name.startswith("<"):
            seen.setdefault(name.removeprefix(PACKAGE))

    files: list[str] = []
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield files
    finally:
        sys.setprofile(before)
        files += seen


def assert_passed(walk: list[str], files: list[str]) -> None:
    assert not set(walk) - set(files), "the page names what is not passed"


def test_a_sentence_becomes_a_mask(tmp_path: Path) -> None:
    Image.fromarray(World("test", size=96).image(0)["image"]).save(tmp_path / "photo.png")
    walk = told("A sentence becomes a mask")
    assert len(walk) <= 12
    with entered() as files:
        assert (
            main(["segment", str(tmp_path / "photo.png"), "--text", "the ring", "--output", str(tmp_path / "o")]) == 0
        )
    assert_passed(walk, files)


def test_a_first_mask_is_followed_on_the_page(tmp_path: Path) -> None:
    pytest.importorskip("av")
    pytest.importorskip("gradio")
    from transformers_uniref.core.palette import save_label_map
    from transformers_uniref.frontends.app.clip_job import ClipJob
    from transformers_uniref.frontends.app.clips import open_clip
    from transformers_uniref.frontends.app.marking import FILE, Marking
    from transformers_uniref.frontends.app.video_handlers import add_objects, follow
    from transformers_uniref.media.video.io import save_animation

    clip = World("test", size=96).clip(0, frames=3)
    save_animation(tmp_path / "clip.png", clip["frames"], 8)
    save_label_map(tmp_path / "mask.png", clip["label_maps"][0])
    (tmp_path / "masks").mkdir()
    job = ClipJob(open_clip(str(tmp_path / "clip.png")), tmp_path / "masks")
    parts = UniRefModel.from_pretrained(DEFAULT_CHECKPOINT).eval(), UniRefProcessor.from_pretrained(DEFAULT_CHECKPOINT)
    workspace = SimpleNamespace(shown=lambda *_: "newest.jpg", new_folder=lambda: Path(tempfile.mkdtemp(dir=tmp_path)))
    page = SimpleNamespace(models=SimpleNamespace(get=lambda choice: parts), workspace=workspace)
    with entered() as files:
        add_objects(job, 0, Marking(FILE, file=str(tmp_path / "mask.png")), "")
        for _ in follow(page, job, None):
            pass
    assert_passed(told("A first-frame mask becomes"), files)


def test_a_configuration_key_reaches_the_optimizer(tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    given = [*VERY_TINY, "steps=1", "optimizer.learning_rate=1e-4"]
    command = ["train", "world-smoke", "--output", str(tmp_path / "run")]
    with entered() as files:
        assert main([*command, *(part for one in given for part in ("--override", one))]) == 0
    assert_passed(told("A configuration key reaches"), files)
