"""`uniref track`: clips and prompts in; masks, videos, a contact sheet and a summary out."""

from __future__ import annotations

import io
import json
import re
import sys
import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_support import frame, write_frames
from processor_support import disc
from transformers_uniref.core.mask_codes import decode_rle
from transformers_uniref.core.mask_reading import load_label_map
from transformers_uniref.core.palette import davis_palette, save_label_map
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.frontends.cli.tracking.clips import GivenClip, find_clips, folders_for
from transformers_uniref.frontends.cli.tracking.prompts import Span, read_prompts
from transformers_uniref.frontends.cli.tracking.summary import Tally
from transformers_uniref.frontends.errors import UserError
from transformers_uniref.media.video.io import VideoWriter, probe_clip, read_clip, read_frames, save_animation

av = pytest.importorskip("av")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / "clip", 4)
    save_label_map(tmp_path / "mask.png", disc())
    return tmp_path


def two_objects() -> np.ndarray:
    labels = disc(value=3)
    labels[60:75, 90:110] = 5
    return labels


def test_masks_and_video_follow_the_frames(model: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["track", "clip", "--mask", "mask.png", "--model", model, "--threshold", "0", "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert result["frames"] == 4
    assert result["outputs"] == {"palette": "out/clip/masks", "mp4": "out/clip/overlay.mp4"}
    assert [(item["id"], item["text"]) for item in result["objects"]] == [(1, None)]
    masks = sorted((files / "out" / "clip" / "masks").iterdir())
    assert [file.name for file in masks] == [f"{index:05d}.png" for index in range(4)]
    for file in masks:
        with Image.open(file) as mask:
            assert mask.mode == "P" and mask.size == (120, 80)
            assert mask.getpalette() == davis_palette().flatten().tolist()
    assert np.array_equal(load_label_map(masks[0]), disc())
    video = files / result["outputs"]["mp4"]
    height, width = next(read_frames(video)).shape[:2]  # a legend lies below, and bars keep the proportions
    assert probe_clip(video).num_frames == 4 and height > 80 and abs(width / height - 120 / 80) < 0.02
    assert "visible in" in shown.err and "4/4" not in shown.err  # a bar is for terminals


def test_a_sentence_may_mean_all_objects_beside_those_with_masks(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    all_dogs = ["--text", "All dogs", "--targets", "all", "--max-objects", "2", "--threshold", "0"]
    formats = ["--formats", "palette,rle,mp4", "--json", "--output", "all", "--model", model]
    assert main(["track", "clip", "--mask", "mask.png", *all_dogs, *formats]) == 0
    shown = capsys.readouterr()
    given, *found = json.loads(shown.out)["objects"]
    assert (given["id"], given["text"]) == (1, None)
    assert 1 <= len(found) <= 2 and {item["text"] for item in found} == {"All dogs"}
    assert [item["id"] for item in found] == list(range(2, 2 + len(found)))
    coded = {item["id"]: item for item in json.loads((files / "all" / "rle.json").read_text())["annotations"]}
    assert set(coded) == {1, *(item["id"] for item in found)} and coded[2]["text"] == "All dogs"
    assert all(len(item[name]) == 4 for item in coded.values() for name in ("segmentations", "scores"))
    assert probe_clip(files / "all" / "overlay.mp4").num_frames == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mask", "mask.png", "--targets", "all"], "--targets all needs --text"),
        (["--text", "a dog", "--max-objects", "2"], "--max-objects needs --targets all"),
        (["--text", "3=dogs", "--targets", "all"], "--text must have no number with --targets all, .* got 3=dogs"),
    ],
)
def test_what_does_not_go_with_all_objects_is_refused(
    words: list[str], message: str, model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["track", "clip", *words, "--model", model]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_what_is_never_found_is_told_with_its_best_score_and_the_option(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["track", "clip", "--text", "a red zebra", "--formats", "palette", "--model", model, "--json", "--end", "2"]
    asked += ["--threshold", "0.99"]
    for options, ending in (
        ((), r" \(--threshold sets another gate"),
        (("--all", "--quiet"), ": shown because of --all"),
    ):
        assert main([*asked, *options]) == 0
        shown = capsys.readouterr()
        [found] = json.loads(shown.out)["objects"]
        assert (found["threshold"], found["frames_passed"]) == (0.99, 0)
        assert found["unknown_words"] == ["zebra"] and "unknown to this model: zebra" in shown.err
        best = rf"object 1 \(a red zebra\): no answer passed \.99; best \.\d+ in frame {found['best_frame']}"
        assert re.search(best + ending, shown.err)
        assert (found["frames_visible"] == 0) == (not options) and ("written:" in shown.err) == (not options)
    assert main(["track", "clip", "--text", "kraken", *asked[4:], "--threshold", "0.001"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["objects"][0]["frames_visible"] == 0
    assert "nothing in 'kraken' was understood" in shown.err


def test_a_frame_in_which_the_mask_was_given_finds_nothing() -> None:
    lost = Tally(None, gate=0.4)
    lost.add(0, True, 0.9, given=True)
    assert lost.doubt(1, False) is None, "it was not looked for"
    lost.add(1, False, 0.2529)
    lost.add(2, False, 0.1)
    assert lost.doubt(1, True) == "object 1: no answer passed .4; best .252 in frame 1: shown because of --all"
    lost.add(3, False, 0.6)
    assert lost.doubt(1, False) == "object 1: nothing was found; best score .6 in frame 3"
    lost.add(4, True, 0.6)
    assert lost.doubt(1, False) is None


def test_every_format_says_the_same(
    model: str, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    save_label_map(files / "two.png", two_objects())
    options = ["--formats", "all", "--tags", "--sheet-frames", "2", "--text", "3=the dog", "--text", "7=a cat"]
    assert main(["track", "clip", "--mask", "two.png", *options, "--model", model, "--json", "--output", "all"]) == 0
    shown = capsys.readouterr()
    assert "4/4" in shown.err and "frame/s" in shown.err
    summary = json.loads(shown.out)
    assert {number["id"]: number["text"] for number in summary["objects"]} == {3: "the dog", 5: None, 7: "a cat"}
    folder = files / "all"
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(
        ["masks", "binary", "rle.json", "overlays", "overlay.mp4", "overlay.webm", "overlay.gif", "contact_sheet.png"]
    )
    coded = {item["id"]: item for item in json.loads((folder / "rle.json").read_text())["annotations"]}
    for index in range(4):
        labels = load_label_map(folder / "masks" / f"{index:05d}.png")
        for number in (3, 5, 7):
            with Image.open(folder / "binary" / str(number) / f"{index:05d}.png") as binary:
                assert binary.mode == "1" and np.array_equal(np.asarray(binary), labels == number)
            code = coded[number]["segmentations"][index]
            assert np.array_equal(labels == number, decode_rle(code) if code else np.zeros_like(labels, dtype=bool))
    visible = {item["id"]: item["frames_visible"] for item in summary["objects"]}
    for number, item in coded.items():
        assert visible[number] == sum(code is not None for code in item["segmentations"])
    for name in ("overlay.mp4", "overlay.webm", "overlay.gif"):
        info = probe_clip(folder / name)
        assert len(list(read_frames(folder / name))) == 4 and info.frames_per_second == pytest.approx(24, abs=1.1)
    with Image.open(folder / "overlays" / "00001.png") as overlay, Image.open(folder / "contact_sheet.png") as sheet:
        assert overlay.width == 120 and overlay.height > 80 and sheet.width == 8 + 2 * 328


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
    assert "uniref: warning: `masks` of size (80, 119) was resized" in shown.err
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
    assert (
        main(
            ["track", name, "--mask", "mask.png", "--dtype", "bfloat16", "--model", model, "--output", "here", "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    assert sorted(file.name for file in (files / "here").iterdir()) == ["masks", "overlay.mp4"]
    assert probe_clip(files / "here" / "overlay.mp4").frames_per_second == pytest.approx(10)


def test_a_longer_clip_takes_no_more_memory(model: str, files: Path) -> None:
    def peak(count: int) -> int:
        write_frames(files / f"{count}", count)
        tracemalloc.start()
        options = ["--formats", "palette,rle,gif,sheet", "--sheet-frames", "1"]
        assert main(["track", f"{count}", "--mask", "mask.png", "--model", model, *options]) == 0
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(16) < peak(4) + 6 * frame(0).nbytes


def test_a_part_of_the_clip_is_followed_at_its_speed(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_frames(files / "long", 8)
    part = ["--start", "1", "--end", "7", "--stride", "2", "--mask", "mask.png", "--mask-at", "00005=late.png"]
    labels = np.zeros((80, 120), dtype=np.uint8)
    labels[60:75, 90:110] = 255
    Image.fromarray(labels).save(files / "late.png")
    assert main(["track", "long", *part, "--model", model, "--json", "--batch-size", "1", "--threshold", "0"]) == 0
    result = json.loads(capsys.readouterr().out)
    masks = sorted((files / "out" / "long" / "masks").iterdir())
    assert [file.name for file in masks] == ["00001.png", "00003.png", "00005.png"]
    assert np.array_equal(load_label_map(masks[0]), disc())
    assert set(np.unique(load_label_map(masks[2]))) >= {2}  # a black and white mask begins the next object
    assert [(item["id"], item["frames"]) for item in result["objects"]] == [(1, 3), (2, 1)]
    assert result["objects"][1]["visible"] == [[5, 5]]
    assert probe_clip(result["outputs"]["mp4"]).frames_per_second == pytest.approx(12)


def test_frames_of_unequal_length_and_odd_size_keep_their_times(model: str, files: Path) -> None:
    times = [0.0, 0.1, 0.5, 0.6]
    with VideoWriter("clip.mp4", 10) as writer:
        for index, moment in enumerate(times):
            writer.write(frame(index)[:79, :119], moment)
    options = ["--text", "a dog", "--formats", "mp4,webm,gif", "--output", "here", "--model", model]
    assert main(["track", "clip.mp4", *options]) == 0
    for name in ("overlay.mp4", "overlay.webm", "overlay.gif"):
        back = list(read_clip(probe_clip(files / "here" / name)))
        assert [item.time for item in back] == pytest.approx(times, abs=2e-3)
        height, width = back[0].image.shape[:2]  # a legend lies below
        assert height > 80 and (width in (119, 120) or abs(width / height - 119 / 79) < 0.03)


def test_a_part_of_a_clip_begins_at_time_0(model: str, files: Path) -> None:
    with VideoWriter("clip.mp4", 10) as writer:
        for index, moment in enumerate([0.0, 0.1, 0.5, 0.6, 0.9]):
            writer.write(frame(index), moment)
    options = ["--text", "a dog", "--formats", "mp4,webm,gif", "--output", "here", "--model", model, "--start", "2"]
    assert main(["track", "clip.mp4", *options]) == 0
    for name in ("overlay.mp4", "overlay.webm", "overlay.gif"):
        with av.open(str(files / "here" / name)) as container:  # our reader counts from the first frame anyway
            times = [item.time for item in container.decode(video=0)]
        assert times == pytest.approx([0.0, 0.1, 0.4], abs=2e-3), name


@pytest.mark.parametrize(
    "prompt", [["--text", "the dog"], ["--mask", "mask.png"], ["--mask", "mask.png", "--text", "a cat"]]
)
def test_the_threshold_is_for_objects_of_every_kind(prompt: list[str], model: str, files: Path) -> None:
    def pixels(threshold: str, folder: str) -> int:
        options = ["--threshold", threshold, "--formats", "palette", "--output", folder]
        assert main(["track", "clip", *prompt, "--model", model, *options]) == 0
        later = sorted((files / folder / "masks").iterdir())[1:]  # the first may show the mask that was given
        return sum(int((load_label_map(file) > 0).sum()) for file in later)

    assert pixels("0", "open") > 0 and pixels("1", "closed") == 0


def test_several_clips_have_a_folder_and_a_line_each(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "a").mkdir()
    for name in ("a/clip.gif", "fine.gif"):
        save_animation(name, [frame(0), frame(1)], 10)
    (files / "broken.gif").write_bytes(b"GIF89a")
    for name in ("clip", "fine", "broken"):
        save_label_map(files / "masks" / f"{name}.png", disc())
    given = ["a/clip.gif", "broken.gif", "fine.gif", "--mask", "masks", "--formats", "palette", "--output", "all"]
    assert main(["track", *given, "--model", model, "--json"]) == 1
    shown = capsys.readouterr()
    assert [json.loads(line)["clip"] for line in shown.out.splitlines()] == ["a/clip.gif", "fine.gif"]
    assert "uniref: error: broken.gif: CLIP names a damaged picture" in shown.err
    assert shown.err.splitlines()[-1] == "uniref: error: 1 of 3 clips could not be followed"
    assert sorted(entry.name for entry in (files / "all").iterdir()) == ["clip", "fine"]


def test_a_clip_comes_from_standard_input(
    model: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with VideoWriter("clip.mp4", 10) as writer:
        for index in range(3):
            writer.write(frame(index))

    def give(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    give((files / "clip.mp4").read_bytes())
    assert main(["track", "-", "--mask", "mask.png", "--formats", "palette", "--model", model, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"palette": "out/stdin/masks"}
    give(b"")
    assert main(["track", "-", "--mask", "mask.png", "--model", model]) == 2
    assert "standard input is empty" in capsys.readouterr().err


def test_without_pyav_the_extra_is_named_and_the_rest_works(
    model: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["track", "clip", "--mask", "mask.png", "--model", model]) == 2
    assert 'pip install "transformers-uniref[video]"' in capsys.readouterr().err.splitlines()[-1]
    assert main(["track", "clip", "--mask", "mask.png", "--model", model, "--formats", "gif,sheet"]) == 0
    assert probe_clip(files / "out" / "clip" / "overlay.gif").num_frames == 4


# -------------------------------------------------------------------------------------- what the words on the line mean
def found(*given: str) -> list[GivenClip]:
    with ExitStack() as resources:
        return find_clips(given, resources)


def test_pictures_are_one_clip_and_all_else_a_clip_each(files: Path) -> None:
    for name in ("one.mp4", "two.mp4", "odd[1].mp4"):
        (files / name).touch()
    pattern = found("clip/*.png")
    assert len(pattern) == 1 and pattern[0].name == "clip" and len(pattern[0].source) == 4  # type: ignore[arg-type]
    assert found("clip/00000.png", "clip/00001.png")[0].source == (Path("clip/00000.png"), Path("clip/00001.png"))
    assert [clip.name for clip in found("*.mp4", "clip")] == ["odd[1]", "one", "two", "clip"]
    assert found("odd[1].mp4")[0].source == Path("odd[1].mp4")
    assert found((files / "one.mp4").as_uri())[0].source == files / "one.mp4"
    folders = folders_for([*found("one.mp4"), *found("one.mp4")], Path("all"))
    assert folders == [Path("all/one"), Path("all/one-2")] and folders_for(found("clip"), Path("x")) == [Path("x")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["nothing*.mp4"], "nothing matches"),
        (["https://example.org/clip.mp4"], "only files of this machine"),
        (["file://elsewhere/clip.mp4"], "only files of this machine"),
        (["-", "-"], "give - once"),
        (["clip/00000.png", "clip"], "cannot be mixed"),
    ],
)
def test_words_that_mean_no_clip_are_named(given: list[str], message: str, files: Path) -> None:
    with pytest.raises(UserError, match=message):
        found(*given)


def save(path: Path, values: list[int]) -> Path:
    """A label map with these values, each a pixel."""
    labels = np.zeros((80, 120), dtype=np.uint8)
    labels[0, : len(values)] = values
    Image.fromarray(labels).save(path)
    return path


@pytest.mark.parametrize(
    ("contents", "numbers"),
    [
        ([[3, 5]], [[3, 5]]),
        ([[255], [255]], [[1], [2]]),
        ([[1], [1], [1]], [[1], [2], [3]]),
        ([[4], [2]], [[4], [2]]),
        ([[255], [1, 2]], [[3], [1, 2]]),
    ],
)
def test_objects_of_several_masks_get_distinct_numbers(
    contents: list[list[int]], numbers: list[list[int]], files: Path
) -> None:
    masks = [save(files / f"{index}.png", values) for index, values in enumerate(contents)]
    prompts = read_prompts(masks, [], [], probe_clip("clip"), Span())
    assert [sorted(file.masks()) for file in prompts.masks[0]] == numbers


def test_later_masks_correct_known_objects_or_begin_new_ones(files: Path) -> None:
    first, again = save(files / "first.png", [1, 2]), save(files / "again.png", [2])
    white = save(files / "white.png", [255])
    prompts = read_prompts(
        [first], [f"2={again}", f"00003={white}"], ["2=the dog", "9=a cat"], probe_clip("clip"), Span()
    )
    assert {index: [sorted(file.masks()) for file in masks] for index, masks in prompts.masks.items()} == {
        0: [[1, 2]],
        2: [[2]],
        3: [[3]],
    }
    assert prompts.sentences == {2: "the dog", 9: "a cat"} and prompts.objects() == [1, 2, 3, 9]


def test_a_tally_keeps_the_stretches_of_presence() -> None:
    tally = Tally("a dog")
    for number, visible in enumerate([False, True, True, False, True]):
        tally.add(2 * number, visible, 0.1 * number)
    summary = tally.summary(1)
    assert summary["visible"] == [[2, 4], [8, 8]] and summary["frames_visible"] == 3
    assert (summary["mean_score"], summary["min_score"], summary["max_score"]) == (0.2, 0.0, 0.4)
    assert Tally(None).summary(2)["mean_score"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["clip"], "say what to follow"),
        (["nowhere", "--text", "a dog"], "there is no nowhere"),
        (["empty", "--text", "a dog"], "this folder holds no picture: empty"),
        (["broken.mp4", "--text", "a dog"], "damaged: broken.mp4"),
        (["clip", "--text", " "], "--text"),
        (["clip", "--mask", "nowhere.png"], "`--mask` names a file that does not exist: nowhere.png"),
        (["clip", "--mask", "nothing.png"], "at least one object with a value above 0, got none"),
        (["clip", "--mask", "small.png"], "(80, 120), got (40, 60)"),
        (["clip", "--mask", "empty"], "this folder holds none: empty"),
        (["clip", "--mask", "late"], "like 00000.png, got 00004.png: late"),
        (["clip", "--mask", "mask.png", "--text", "a dog", "--text", "a cat"], "got 2 sentences"),
        (["clip", "--mask", "mask.png", "--mask", "nothing.png"], "got none: nothing.png"),
        (["clip", "--mask-at", "2"], "FRAME=FILE, such as 12=mask.png, got 2"),
        (["clip", "--mask-at", "4=mask.png"], "must name a frame of the clip, such as 00000, got 4"),
        (["clip", "--mask-at", "1=mask.png", "--stride", "2"], "frame 1 is left out"),
        (["clip", "--mask-at", "0=missing.png"], "--mask-at"),
        (["clip", "--mask-at", "3=small.png"], "(80, 120), got (40, 60)"),
        (["clip", "--mask", "mask.png", "--text", "1=a dog", "--text", "a cat"], "with the number of its object"),
        (["clip", "--text", "1=a dog", "--text", "1=a cat"], "got object 1 twice"),
        (["clip", "--text", "256=a dog"], "from 1 to 255, got 256"),
        (["clip", "--text", "a dog", "--start", "4"], "one of the clip's 4 frames"),
        (["clip", "--text", "a dog", "--start", "2", "--end", "2"], "--end must be above --start"),
        (["clip", "--text", "a dog", "--stride", "0"], "--stride must be 1 or more"),
        (["clip", "--text", "a dog", "--batch-size", "0"], "--batch-size must be 1 or more"),
        (["cut.mkv", "--text", "a dog"], "cut off, at least"),
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
    with VideoWriter(files / "cut.mkv", 10) as writer:
        writer.write(frame(0))
    (files / "cut.mkv").write_bytes((files / "cut.mkv").read_bytes()[:-100])
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
