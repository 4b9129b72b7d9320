"""`uniref evaluate --check`: what a server would take passes, everything else is explained."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transformers_uniref.core.palette import label_image, save_label_map
from transformers_uniref.evaluation.submission_check import check_submission
from transformers_uniref.evaluation.submission_servers import SERVERS
from transformers_uniref.frontends.cli.main import main

IDS = np.zeros((12, 16), dtype=np.uint8)
IDS[2:5, 2:5], IDS[7:10, 7:10] = 1, 2


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


PALETTE = png(label_image(IDS))
BINARY = png(Image.fromarray((IDS > 0).astype(np.uint8) * 255))


def members(server: str) -> dict[str, bytes]:
    """A right submission of two videos with three frames each."""
    rules = SERVERS[server]
    root = "Annotations/" if rules.in_annotations else ""
    expressions = ["0/", "1/"] if rules.by_expression else [""]
    return {
        f"{root}{video}/{expression}{frame:0{rules.digits}d}.png": BINARY if rules.by_expression else PALETTE
        for video in ("cat", "dog")
        for expression in expressions
        for frame in (0, 5, 10)
    }


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def benchmark_folder(tmp_path: Path) -> Path:
    """The folder of a split as it is downloaded."""
    root = tmp_path / "valid"
    for video in ("cat", "dog"):
        (root / "JPEGImages" / video).mkdir(parents=True)
        for frame in (0, 5, 10):
            Image.new("RGB", (16, 12)).save(root / "JPEGImages" / video / f"{frame:05d}.jpg")
        save_label_map(root / "Annotations" / video / "00000.png", IDS)
    videos = {
        video: {"frames": ["00000", "00005", "00010"], "expressions": {"0": {}, "1": {}}} for video in ("cat", "dog")
    }
    (root / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    return root


@pytest.mark.parametrize("server", SERVERS)
def test_a_right_submission_is_recognised_and_valid(server: str, tmp_path: Path) -> None:
    report = check_submission(packed(tmp_path / "submission.zip", members(server)))
    assert (report.server.name, report.problems, report.videos) == (server, [], 2)


@pytest.mark.parametrize("server", ["youtube-vos", "ref-youtube-vos", "mevis", "mose"])
def test_a_right_submission_has_what_the_benchmark_asks_for(
    server: str, tmp_path: Path, benchmark_folder: Path
) -> None:
    report = check_submission(packed(tmp_path / "submission.zip", members(server)), server, benchmark_folder)
    assert report.valid and not report.warnings


@pytest.mark.parametrize("server", SERVERS)
def test_videos_in_another_folder_are_found_and_explained(server: str, tmp_path: Path) -> None:
    wrapped = {f"results/{name}": data for name, data in members(server).items()}
    report = check_submission(packed(tmp_path / "submission.zip", wrapped), server)
    assert len(report.problems) == 1 and "the videos lie in the folder results" in report.problems[0]
    assert report.masks == len(wrapped)


@pytest.mark.parametrize(
    ("server", "name", "data", "message"),
    [
        ("mose", "cat/00005.png", png(Image.fromarray(IDS).convert("RGB")), "palette PNG of ids, got colours"),
        ("mose", "cat/00005.png", png(Image.fromarray(IDS.astype(np.uint16))), "8-bit PNG of ids, got 16 bits"),
        ("mose", "cat/00005.png", png(Image.fromarray(IDS)), "1 masks are grey, not palette PNGs: cat/00005.png"),
        ("mose", "cat/00005.png", PALETTE[:50], "cat/00005.png is damaged or cut off"),
        ("mose", "cat/00005.png", b"text", "cat/00005.png must be a PNG, got something else"),
        ("mose", "cat/00005.png", png(label_image(IDS[:10])), "cat/00005.png: is 16 x 10 pixels, the video is 16 x 12"),
        ("mose", "cat/00005.png", png(label_image(IDS * 3)), "holds the ids 3, 6, the video has 1, 2"),
        ("mose", "cat/00007.jpg", b"", "1 files do not lie in <video>/<frame>.png: cat/00007.jpg"),
        ("mose", "cat/7.png", PALETTE, "1 frames are not named with 5 digits: cat/7.png"),
        ("mose", "cow/00000.png", PALETTE, "1 videos are not in the reference: cow"),
        ("mose", "../00000.png", PALETTE, "must not lead out of the zip file"),
        ("mevis", "cat/0/00005.png", PALETTE, "holds the values 1, 2; the mask of an expression has 0 and 255 alone"),
        ("mevis", "cat/2/00000.png", BINARY, "cat: 1 expressions are not in the reference: 2"),
    ],
)
def test_what_is_wrong_is_explained(
    server: str, name: str, data: bytes, message: str, tmp_path: Path, benchmark_folder: Path
) -> None:
    files = {**members(server), name: data}
    report = check_submission(packed(tmp_path / "submission.zip", files), server, benchmark_folder)
    assert any(message in problem for problem in report.problems), report.problems


@pytest.mark.parametrize(
    ("server", "removed", "message"),
    [
        ("mose", "dog/", "1 of 2 videos are missing: dog"),
        ("mose", "dog/00005", "dog: 1 of 3 frames are missing: 00005"),
        ("mevis", "dog/1/", "dog: 1 of 2 expressions are missing: 1"),
        ("mevis", "dog/1/00010", "dog/1: 1 of 3 frames are missing: 00010"),
    ],
)
def test_what_is_missing_is_named(
    server: str, removed: str, message: str, tmp_path: Path, benchmark_folder: Path
) -> None:
    files = {name: data for name, data in members(server).items() if not name.startswith(removed)}
    report = check_submission(packed(tmp_path / "submission.zip", files), server, benchmark_folder)
    assert report.problems == [message]


def test_without_a_reference_a_submission_is_compared_with_itself(tmp_path: Path) -> None:
    files = {name: data for name, data in members("mevis").items() if not name.startswith("dog/1/00010")}
    report = check_submission(packed(tmp_path / "submission.zip", files))
    assert report.problems == ["dog/1: 1 frames of other expressions are missing: 00010"]
    gap = {**members("mose"), "cat/00020.png": PALETTE, "__MACOSX/x": b"", "cat/.DS_Store": b""}
    report = check_submission(packed(tmp_path / "gap.zip", gap))
    assert report.valid and any("cat: frames may be missing after 00010" in warning for warning in report.warnings)
    assert any("2 files of an operating system" in warning for warning in report.warnings)


def test_json_of_the_data_set_says_which_frames_are_asked_for(tmp_path: Path) -> None:
    objects = {"1": {"frames": ["00000", "00005"]}, "2": {"frames": ["00010"]}}
    meta = tmp_path / "meta.json"
    meta.write_text(json.dumps({"videos": {"cat": {"objects": objects}, "dog": {"objects": objects}}}))
    path = packed(tmp_path / "submission.zip", members("youtube-vos"))
    assert check_submission(path, "youtube-vos", meta).valid


def test_the_command_says_what_is_wrong_and_returns_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right = packed(tmp_path / "right.zip", members("mose"))
    assert main(["evaluate", "--check", str(right)]) == 0
    told = capsys.readouterr().out
    assert told.endswith("valid\n") and "warning: without --reference nobody knows" in told
    wrong = packed(tmp_path / "wrong.zip", {**members("mose"), "cat/00005.png": b"text"})
    assert main(["evaluate", "--check", str(wrong), "--server", "mose", "--json"]) == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert not report["valid"] and len(report["problems"]) == 1
    assert captured.err == "uniref: error: wrong.zip has 1 problem\n"


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"PK\x03\x04 and no end", [], "--check is cut off or damaged: its end is missing"),
        (b"no archive", [], "--check is no zip file"),
        (None, [], "--check names a file that does not exist"),
        (
            "right",
            ["--server", "davis"],
            "--server must be one of youtube-vos, ref-youtube-vos, mevis, lvos, mose, got",
        ),
        ("right", ["--reference", "/no/such"], "--reference names a folder or file that does not exist"),
        ("right", ["--binary"], "--binary does not go with --check"),
    ],
)
def test_what_cannot_be_checked_is_one_line(
    content: bytes | str | None, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "submission.zip"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        packed(path, members("mose"))
    assert main(["evaluate", "--check", str(path), *options]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1


def test_an_empty_archive_holds_no_mask(tmp_path: Path) -> None:
    report = check_submission(packed(tmp_path / "submission.zip", {}))
    assert not report.valid and "no mask lies where the server looks" in report.problems[0]
