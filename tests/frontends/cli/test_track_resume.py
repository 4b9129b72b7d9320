"""`uniref track` that is interrupted keeps what it has done, says so, and goes on from there with `--resume`."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from cli_support import content, write_frames
from processor_support import disc, picture
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.frontends.cli.tracking.progress import MASKS, STATE, UNFINISHED
from transformers_uniref.inference import clips
from transformers_uniref.media.clips.rle import ClipRleWriter
from transformers_uniref.media.video.io import save_animation

PROMPTS = ["--mask", "mask.png", "--mask-at", "3=late.png", "--text", "5=the dog", "--threshold", "0"]
FORMATS = ["--formats", "palette,binary,rle,overlay,gif,sheet"]


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """What runs in the background inherits that SIGINT is ignored, and `uniref track` respects that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def write_inputs(folder: Path) -> None:
    write_frames(folder / "clip", 6)
    save_label_map(folder / "mask.png", disc())
    late = np.zeros((80, 120), dtype=np.uint8)
    late[60:75, 90:110] = 2
    save_label_map(folder / "late.png", late)


@pytest.fixture(scope="module")
def whole(model: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The results of a run that nothing interrupts, by their names."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["track", "clip", *PROMPTS, *FORMATS, "--model", model, "--output", "whole"]) == 0
        return content("whole")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    return tmp_path


@pytest.fixture
def ask(model: str) -> Callable[..., int]:
    def ask(*words: str, output: str = "here") -> int:
        return main(["track", "clip", *PROMPTS, *FORMATS, "--model", model, "--output", output, *words])

    return ask


def at_frame(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> list[int]:
    """Does something when that frame, counted over the runs of a test, is computed; returns those that were."""
    computed: list[int] = []
    real = clips.next_frame

    def segment(*given: object) -> object:
        computed.append(len(computed))
        if computed[-1] == number:
            act()
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(clips, "next_frame", segment)
    return computed


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stopped(ask: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Asks, and breaks off at a frame."""

    def stopped(number: int, act: Callable[[], None] = interrupt, words: Sequence[str] = ()) -> None:
        with monkeypatch.context() as patch:
            at_frame(patch, number, act)
            assert ask(*words) == 130

    return stopped


def test_objects_of_a_sentence_for_all_keep_their_numbers_and_words(model: str, files: Path) -> None:
    more = ["--targets", "all", "--max-objects", "3", "--threshold", "0", "--text", "a cat"]
    words = [word.removeprefix("5=") if word.startswith("5=") else word for word in PROMPTS]
    command = ["track", "clip", *words, *more, *FORMATS, "--model", model]
    assert main([*command, "--output", "whole"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        at_frame(patch, 2, interrupt)
        assert main([*command, "--output", "here"]) == 130
    assert main([*command, "--output", "here", "--resume"]) == 0
    assert content("here") == content("whole")
    texts = [item["text"] for item in json.loads(content("here")["rle.json"])["annotations"]]
    assert "a cat" in texts or "the dog" in texts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_resumed_run_ends_like_one_that_was_never_interrupted(
    number: signal.Signals,
    ask: Callable[..., int],
    stopped: Callable[..., None],
    whole: dict[str, bytes],
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped(3, lambda: os.kill(os.getpid(), number), ["--json"])
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.splitlines()[-1] == "uniref: interrupted"
    assert "clip: 4 of 6 frames are kept in here/unfinished; the same command with --resume goes on" in shown.err
    assert [file.name for file in Path("here").iterdir()] == [UNFINISHED]
    assert len(list(Path("here", UNFINISHED, "masks").iterdir())) == 4
    computed = at_frame(monkeypatch, -1, interrupt)
    assert ask("--json", "--resume") == 0
    shown = capsys.readouterr()
    assert "clip: goes on after 4 of 6 frames" in shown.err and len(computed) == 2
    assert content("here") == whole
    resumed = json.loads(shown.out)
    assert resumed["frames"] == 6
    coded = {item["id"]: item["scores"] for item in json.loads(whole["rle.json"])["annotations"]}
    for item in resumed["objects"]:
        scores = [score for score in coded[item["id"]] if score is not None]
        assert item["frames"] == len(scores)  # those of the first run are counted, too
        assert item["mean_score"] == pytest.approx(np.mean(scores), abs=2e-6)
    before = content("here")
    assert ask("--resume") == 0 and len(computed) == 2  # a loop of such commands does each clip once
    assert "clip: complete in here, left as it is" in capsys.readouterr().err
    assert content("here") == before


def test_every_frame_may_be_the_last_one_before_an_interruption(
    ask: Callable[..., int], whole: dict[str, bytes], files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    real = clips.next_frame

    def one_frame(*given: object) -> object:
        computed.append(0)
        interrupt()
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(clips, "next_frame", one_frame)
    codes = [ask("--resume") for _ in range(7)]
    assert codes == [130] * 6 + [0] and len(computed) == 6
    assert content("here") == whole


def test_other_formats_and_drawings_may_be_asked_for_when_going_on(
    ask: Callable[..., int], stopped: Callable[..., None], files: Path
) -> None:
    stopped(2)
    other = ["--formats", "overlay,rle", "--tags", "--no-legend"]
    assert ask("--resume", *other) == 0 and ask(*other, output="whole") == 0
    assert content("here") == content("whole")


def test_what_a_full_disk_ends_is_kept_up_to_the_last_frame(
    ask: Callable[..., int],
    whole: dict[str, bytes],
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    written: list[int] = []
    real = ClipRleWriter.write

    def fill_up(self: ClipRleWriter, *frame: object) -> None:
        written.append(0)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", "rle.json")
        real(self, *frame)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ClipRleWriter, "write", fill_up)
        assert ask() == 1
    shown = capsys.readouterr().err
    assert "clip: 3 of 6 frames are kept" in shown
    assert shown.splitlines()[-1] == "uniref: failed: No space left on device: rle.json"
    assert ask("--resume") == 0 and content("here") == whole


def test_a_disk_too_full_for_the_state_leaves_the_one_before(
    ask: Callable[..., int],
    whole: dict[str, bytes],
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real, calls = torch.save, []

    def fill_up(*given: object) -> None:
        calls.append(0)
        if len(calls) > 1:  # the state after the first frame is there
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fill_up)
        at_frame(patch, 3, interrupt)
        assert ask() == 130
    assert "clip: 1 of 6 frames are kept" in capsys.readouterr().err
    assert ask("--resume") == 0 and content("here") == whole


def test_what_is_broken_off_within_a_frame_goes_on_from_the_last_whole_one(
    ask: Callable[..., int], stopped: Callable[..., None], whole: dict[str, bytes], files: Path
) -> None:
    def twice() -> None:
        interrupt()
        interrupt()

    stopped(3, twice)
    assert ask("--resume") == 0 and content("here") == whole


def test_an_unfinished_run_is_neither_mixed_with_another_nor_lost_unasked(
    ask: Callable[..., int],
    stopped: Callable[..., None],
    whole: dict[str, bytes],
    files: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped(1)
    kept = content("here")
    for words, message in (
        ([], "--output holds an unfinished run: here; --resume goes on with it, --overwrite begins anew"),
        (["--resume", "--text", "6=a cat"], '--text was ["5=the dog"], got ["5=the dog", "6=a cat"]'),
        (["--resume", "--end", "5"], "--end was null, got 5"),
        (["--resume", "--threshold", "0.5"], "--threshold was 0.0, got 0.5"),
    ):
        assert ask(*words) == 2
        assert message in capsys.readouterr().err
        assert content("here") == kept
    save_label_map(files / "mask.png", disc(value=4))
    assert ask("--resume") == 2 and "--mask was" in capsys.readouterr().err
    save_label_map(files / "mask.png", disc())
    Path("here", UNFINISHED, "masks", "00000.png").write_bytes(b"")
    assert ask("--resume") == 2 and "is missing or damaged: here/unfinished/masks/00000.png" in capsys.readouterr().err
    Path("here", UNFINISHED, STATE).write_bytes(b"half")
    assert ask("--resume") == 2 and "is damaged, --overwrite begins anew: here/unfinished" in capsys.readouterr().err
    assert ask("--overwrite") == 0
    assert content("here") == whole


def test_without_an_output_the_newest_unfinished_run_of_the_clip_goes_on(
    model: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["track", "clip", "--text", "a dog", "--formats", "palette", "--model", model]
    assert main(command) == 0
    with monkeypatch.context() as patch:
        at_frame(patch, 2, interrupt)
        assert main(command) == 130
    assert "kept in out/clip-2/unfinished" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert sorted(folder.name for folder in Path("out").iterdir()) == ["clip", "clip-2"]
    assert content("out/clip") == content("out/clip-2")


def test_of_several_clips_the_finished_are_left_and_the_rest_is_done(
    model: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one.gif", "two.gif", "three.gif"):
        save_animation(name, [np.roll(picture(), 2 * index, axis=1) for index in range(3)], 10)
    command = [
        "track",
        "one.gif",
        "two.gif",
        "three.gif",
        "--text",
        "a dog",
        "--formats",
        "palette,rle",
        "--model",
        model,
    ]
    computed = at_frame(monkeypatch, 4, interrupt)
    assert main([*command, "--output", "all"]) == 130
    assert sorted(path.name for path in Path("all").iterdir()) == ["one", "two"]
    assert main([*command, "--output", "all", "--resume"]) == 0
    assert "one.gif: complete in all/one" in capsys.readouterr().err and len(computed) == 9
    for name in ("one", "two", "three"):
        assert sorted(path.name for path in Path("all", name).iterdir()) == ["masks", "rle.json"]


def test_an_interruption_before_the_first_frame_leaves_nothing(
    model: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(files.rglob("*"))

    def stop(*given: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(clips, "next_frame", stop)
    assert main(["track", "clip", "--text", "a dog", "--model", model, "--output", "new/here"]) == 130
    assert sorted(files.rglob("*")) == before


def test_a_process_that_is_killed_goes_on_from_its_last_saved_state_and_keeps_what_was_there(
    model: str, files: Path
) -> None:
    """With no warning at all; old results of the same names are untouched until the new ones are whole."""
    write_frames(files / "long", 40)
    (files / "results" / "masks").mkdir(parents=True)
    (files / "results" / "masks" / "old.png").touch()
    command = [
        "track",
        "long",
        "--mask",
        "mask.png",
        "--formats",
        "palette,gif,rle",
        "--output",
        "results",
        "--overwrite",
    ]
    words = [sys.executable, "-m", "transformers_uniref", *command, "--model", model]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=files)
    try:
        for _ in range(20000):  # on a busy machine the imports alone take minutes
            if process.poll() is not None or (files / "results" / UNFINISHED / STATE).is_file():
                break
            time.sleep(0.05)
    finally:
        process.kill()
    process.communicate(timeout=300)
    assert [file.name for file in (files / "results" / "masks").iterdir()] == ["old.png"]
    (files / "results" / UNFINISHED / MASKS / ".00001-half_way.png").touch()
    assert main([*command, "--model", model, "--resume"]) == 0
    assert len(list((files / "results" / "masks").iterdir())) == 40
    assert sorted(path.name for path in (files / "results").iterdir()) == ["masks", "overlay.gif", "rle.json"]
