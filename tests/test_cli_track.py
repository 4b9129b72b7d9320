"""`uniref track`: a clip and a prompt in, palette masks and a video out."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_support import save_tiny_checkpoint
from processor_support import disc, picture
from transformers_uniref.cli.main import main
from transformers_uniref.media.palette import davis_palette, load_label_map, save_label_map
from transformers_uniref.media.video_io import VideoWriter, probe_clip, read_frames, save_animation

pytest.importorskip("av")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_checkpoint(tmp_path_factory.mktemp("model")))


def frame(index: int) -> np.ndarray:
    return np.roll(picture(), 2 * index, axis=1)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / "clip", 4)
    save_label_map(tmp_path / "mask.png", disc())
    return tmp_path


def write_frames(folder: Path, count: int) -> None:
    folder.mkdir()
    for index in range(count):
        Image.fromarray(frame(index)).save(folder / f"{index:05d}.png")


def two_objects() -> np.ndarray:
    labels = disc(value=3)
    labels[60:75, 90:110] = 5
    return labels


def test_masks_and_video_follow_the_frames(model: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track", "clip", "--mask", "mask.png", "--model", model, "--threshold", "0", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["frames"] == 4 and result["masks"] == "out/clip/masks"
    assert [(item["id"], item["text"]) for item in result["objects"]] == [(1, None)]
    masks = sorted((files / result["masks"]).iterdir())
    assert [file.name for file in masks] == [f"{index:05d}.png" for index in range(4)]
    for file in masks:
        with Image.open(file) as mask:
            assert mask.mode == "P" and mask.size == (120, 80)
            assert mask.getpalette() == davis_palette().flatten().tolist()
    assert np.array_equal(load_label_map(masks[0]), disc())
    assert probe_clip(files / result["video"]).num_frames == 4
    assert next(read_frames(files / result["video"])).shape == (80, 120, 3)
    assert "4/4" in shown.err and "visible in" in shown.err


@pytest.mark.parametrize(
    ("prompts", "objects"),
    [
        (["--text", "the dog"], [(1, "the dog")]),
        (["--text", "the dog", "--text", "a cat"], [(1, "the dog"), (2, "a cat")]),
        (["--mask", "two.png"], [(3, None), (5, None)]),
        (["--mask", "two.png", "--text", "the dog", "--text", "a cat"], [(3, "the dog"), (5, "a cat")]),
    ],
    ids=["a sentence", "two sentences", "a mask of two objects", "masks with their sentences"],
)
def test_objects_are_given_by_masks_or_sentences(
    prompts: list[str],
    objects: list[tuple[int, str | None]],
    model: str,
    files: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    save_label_map(files / "two.png", two_objects())
    assert main(["track", "clip", *prompts, "--model", model, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [(item["id"], item["text"]) for item in result["objects"]] == objects


def test_a_folder_of_masks_adds_objects_in_their_frames(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "masks").mkdir()
    save_label_map(files / "masks" / "00000.png", disc())
    save_label_map(files / "masks" / "00002.png", two_objects()[:, :119])  # a pixel narrower than its frame
    assert main(["track", "clip", "--mask", "masks", "--model", model, "--json"]) == 0
    shown = capsys.readouterr()
    assert [item["id"] for item in json.loads(shown.out)["objects"]] == [1, 3, 5]
    assert "uniref: warning: `mask` of size (80, 119) was resized" in shown.err
    labels = [set(np.unique(load_label_map(files / "out" / "clip" / "masks" / f"0000{i}.png"))) for i in range(4)]
    assert not {3, 5} & (labels[0] | labels[1]) and {3, 5} <= labels[2]


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif"])
def test_files_are_followed_like_folders(
    name: str, model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name.endswith(".mp4"):
        with VideoWriter(name, 10) as writer:
            for index in range(3):
                writer.write(frame(index))
    else:
        save_animation(name, [frame(index) for index in range(3)], 10)
    assert main(["track", name, "--mask", "mask.png", "--bf16", "--model", model, "--output", "here", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    assert sorted(file.name for file in (files / "here").iterdir()) == ["masks", "overlay.mp4"]
    assert probe_clip(files / "here" / "overlay.mp4").frames_per_second == pytest.approx(10)


def test_a_longer_clip_takes_no_more_memory(model: str, files: Path) -> None:
    def peak(count: int) -> int:
        write_frames(files / f"{count}", count)
        tracemalloc.start()
        assert main(["track", f"{count}", "--mask", "mask.png", "--model", model]) == 0
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(16) < peak(4) + 6 * frame(0).nbytes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["clip"], "say what to follow"),
        (["nowhere", "--text", "a dog"], "there is no nowhere"),
        (["empty", "--text", "a dog"], "this folder holds no picture: empty"),
        (["broken.mp4", "--text", "a dog"], "damaged: broken.mp4"),
        (["clip", "--text", " "], "`text`"),
        (["clip", "--mask", "nowhere.png"], "`--mask` names a file that does not exist: nowhere.png"),
        (["clip", "--mask", "nothing.png"], "at least one object with a value above 0, got none"),
        (["clip", "--mask", "small.png"], "(80, 120), got (40, 60)"),
        (["clip", "--mask", "empty"], "this folder holds none: empty"),
        (["clip", "--mask", "late"], "like 00000.png, got 00004.png: late"),
        (["clip", "--mask", "mask.png", "--text", "a dog", "--text", "a cat"], "got 2 sentences"),
        (["clip", "--mask", "mask.png", "--threshold", "-1"], "--threshold must be between 0 and 1"),
        (["changing", "--mask", "mask.png"], "one size, got (80, 100) (height, width) at frame 2"),
        (["damaged", "--mask", "mask.png"], "no readable image: damaged/00002.png"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    options: list[str], message: str, model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "empty").mkdir()
    (files / "broken.mp4").write_bytes(b"no video" * 50)
    save_label_map(files / "nothing.png", np.zeros((80, 120), dtype=np.uint8))
    save_label_map(files / "small.png", disc(40, 60))
    save_label_map(files / "late" / "00004.png", disc())
    for name, picture_or_bytes in (("changing", frame(2)[:, :100]), ("damaged", b"\x89PNG\r\n\x1a\n")):
        write_frames(files / name, 4)
        if isinstance(picture_or_bytes, bytes):
            (files / name / "00002.png").write_bytes(picture_or_bytes)
        else:
            Image.fromarray(picture_or_bytes).save(files / name / "00002.png")
    before = sorted(files.rglob("*"))
    assert main(["track", *options, "--model", model]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[-1].startswith("uniref: error: ") and message in shown.err.splitlines()[-1]
    assert sorted(files.rglob("*")) == before
