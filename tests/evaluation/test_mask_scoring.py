"""`uniref evaluate --predictions`: the official numbers, and mistakes in folders of masks named in one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from places import SHARED_DATA
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.evaluation.mask_scoring import score_masks
from transformers_uniref.frontends.cli.main import main

DAVIS = SHARED_DATA / "davis"


def labels(shift: int = 0) -> np.ndarray:
    """Two objects of 32 x 40 pixels."""
    drawn = np.zeros((32, 40), dtype=np.uint8)
    drawn[4:14, 4 + shift : 14 + shift] = 1
    drawn[16:28, 20:32] = 2
    return drawn


def write_clip(folder: Path, frames: int = 5, shift: int = 0) -> None:
    for number in range(frames):
        save_label_map(folder / f"{number:05d}.png", labels(shift))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Predictions, which are right in clip `a` and off in clip `b`, and annotations."""
    for name, shift in (("a", 0), ("b", 5)):
        write_clip(tmp_path / "predictions" / name, shift=shift)
        write_clip(tmp_path / "annotations" / name)
    return tmp_path / "predictions", tmp_path / "annotations"


def command(folders: tuple[Path, Path], *options: str, protocol: str = "davis-semi-supervised") -> list[str]:
    predictions, annotations = folders
    given = ["--predictions", str(predictions), "--annotations", str(annotations), "--protocol", protocol]
    return ["evaluate", *given, *options]


# -------------------------------------------------------------------------------------------------------------- numbers
@pytest.mark.skipif(not DAVIS.is_dir(), reason="the sequences of DAVIS are not beside the repository")
def test_official_numbers_come_out_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = {
        "blackswan": (0.943020, 0.974096, 0.0014),
        "car-shadow": (0.928402, 0.917407, 0.1103),
        "libby": (0.623027, 0.751232, 0.4986),
    }
    for kind, source in (("predictions", "osvos"), ("annotations", "masks")):
        (tmp_path / kind).mkdir()
        for name in expected:
            (tmp_path / kind / name).symlink_to(DAVIS / name / source)
    assert main(command((tmp_path / "predictions", tmp_path / "annotations"), "--binary", "--json")) == 0
    result = json.loads(capsys.readouterr().out)
    for name, (j, f, decay) in expected.items():
        measured = result["sequences"][name]
        assert (measured["J"], measured["F"]) == (pytest.approx(j, abs=1e-6), pytest.approx(f, abs=1e-6))
        assert measured["J-decay"] == pytest.approx(decay, abs=1e-4)
    assert result["J"] == pytest.approx(np.mean([j for j, _, _ in expected.values()]), abs=1e-6)


def test_json_has_every_sequence_and_object(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command(folders, "--json")) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["protocol"], result["binary"], result["objects"], result["frames"]) == (
        "davis-semi-supervised",
        False,
        4,
        12,
    )
    right, off = result["sequences"]["a"], result["sequences"]["b"]
    assert right["J"] == right["F"] == right["J&F"] == 1
    # Moved by half its width, object 1 has a third of its union; object 2 did not move.
    assert off["objects"]["1"]["J"] == pytest.approx(1 / 3) and off["objects"]["2"]["J"] == 1
    assert off["J"] == pytest.approx(2 / 3) and result["J"] == pytest.approx((1 + 2 / 3) / 2)
    assert "J&F" in captured.err and "b " in captured.err


def test_merged_ids_are_one_object_and_255_is_one_where_it_is_alone(tmp_path: Path) -> None:
    for number in range(3):
        save_label_map(tmp_path / "predictions" / "a" / f"{number:05d}.png", labels())
        (tmp_path / "annotations" / "a").mkdir(parents=True, exist_ok=True)
        Image.fromarray((labels() > 0).astype(np.uint8) * 255).save(
            tmp_path / "annotations" / "a" / f"{number:05d}.png"
        )
    result = score_masks(tmp_path / "predictions", tmp_path / "annotations", "davis-semi-supervised", binary=True)
    assert result["J"] == 1 and result["objects"] == 1


def test_processes_a_zip_file_and_a_choice_of_sequences_change_no_number(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions, annotations = folders
    packed = tmp_path / "predictions.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(predictions.rglob("*.png")):
            archive.write(file, Path("Annotations") / file.relative_to(predictions))
    whole = score_masks(predictions, annotations, "mose-v2")
    assert score_masks(packed, annotations, "mose-v2") == whole
    listed = tmp_path / "val.txt"
    listed.write_text("b  # the hard one\n\n")
    assert main(command(folders, "--sequences", str(listed), "--json", protocol="mose-v2")) == 0
    chosen = json.loads(capsys.readouterr().out)
    assert chosen["sequences"] == {"b": whole["sequences"]["b"]} and chosen["J"] == whole["sequences"]["b"]["J"]


def test_two_processes_find_the_same(folders: tuple[Path, Path]) -> None:
    assert score_masks(*folders, "youtube-vos", workers=2) == score_masks(*folders, "youtube-vos")


def test_objects_that_come_later_are_judged_after_their_first_frame(folders: tuple[Path, Path], tmp_path: Path) -> None:
    predictions, annotations = folders
    later = np.where(labels() == 2, 0, labels()).astype(np.uint8)
    for number in range(3):
        save_label_map(annotations / "a" / f"{number:05d}.png", later)
        save_label_map(predictions / "a" / f"{number:05d}.png", later)
    result = score_masks(predictions, annotations, "youtube-vos", unseen={"b"})
    # Frames 1 to 4 of object 1, frame 4 of object 2, and both objects of clip b in frames 1 to 4.
    assert result["frames"] == 4 + 1 + 8
    assert (result["J_seen"], result["J_unseen"]) == (1, pytest.approx(2 / 3))


def test_metadata_names_categories_and_frame_ranges(folders: tuple[Path, Path], tmp_path: Path) -> None:
    meta = tmp_path / "meta.json"
    objects = {"1": {"category": "swan", "frame_range": {"start": "0", "end": "4"}}, "2": {"category": "boat"}}
    meta.write_text(json.dumps({"videos": {"a": {"objects": objects}, "b": {"objects": objects}}}))
    result = score_masks(*folders, "youtube-vos", unseen={"boat"}, meta=meta)
    assert (result["J_seen"], result["J_unseen"]) == (pytest.approx(2 / 3), 1)
    assert score_masks(*folders, "lvos-v1", meta=meta)["frames"] == 2 * (4 + 5)


def test_four_annotators_are_averaged(folders: tuple[Path, Path], tmp_path: Path) -> None:
    for number in range(4):
        write_clip(tmp_path / "all" / f"anno_{number}" / "a", shift=5 if number == 3 else 0)
    write_clip(tmp_path / "truth" / "a")
    result = score_masks(tmp_path / "all", tmp_path / "truth", "ref-davis17")
    assert result["J"] == pytest.approx((3 + 2 / 3) / 4) and result["annotators"]["anno_0"]["J"] == 1
    assert result["sequences"]["a"]["J"] == result["J"]


# ------------------------------------------------------------------------------------------------------------ bad input
def overwrite(path: Path, image: Image.Image) -> None:
    image.save(path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


MISTAKES: dict[str, tuple[Callable[[Path, Path], object], list[str], str]] = {
    "a missing mask": (lambda p, a: (p / "a/00002.png").unlink(), [], "sequence a, 1 are missing: 00002"),
    "a missing annotation": (lambda p, a: (a / "a/00002.png").unlink(), [], "--annotations must hold a mask for each"),
    "another size": (
        lambda p, a: save_label_map(p / "a/00002.png", labels()[:30]),
        [],
        "size of the annotation, 40 x 32, got 40 x 30: sequence a, frame 00002",
    ),
    "a foreign id": (
        lambda p, a: save_label_map(p / "a/00002.png", labels() * 3),
        [],
        "must hold the annotation's ids, 1, 2, got 3, 6: sequence a, frame 00002",
    ),
    "16 bits": (
        lambda p, a: overwrite(p / "a/00002.png", Image.fromarray(labels().astype(np.uint16))),
        [],
        "must be an 8-bit PNG of ids, got 16 bits",
    ),
    "colours": (
        lambda p, a: overwrite(p / "a/00002.png", Image.open(p / "a/00001.png").convert("RGB")),
        [],
        "must be a palette PNG of ids, got colours (mode RGB)",
    ),
    "half a file": (lambda p, a: cut(p / "a/00002.png"), [], "00002.png is damaged or cut off"),
    "a missing sequence": (lambda p, a: (p / "a").rename(p.parent / "gone"), [], "1 are missing: a"),
    "another name": (lambda p, a: (p / "a").rename(p / "c"), [], "sequences, a, b, got others: c"),
    "an unknown choice": (lambda p, a: None, ["--sequences", "z"], "which hold a, b; got z"),
    "too many proposals": (
        lambda p, a: save_label_map(p / "a/00002.png", labels() * 15),
        ["--protocol", "davis-unsupervised"],
        "ids of 1..20, got 30",
    ),
    "masks without ids": (
        lambda p, a: overwrite(a / "a/00000.png", Image.fromarray(np.where(labels(), 255, 0).astype(np.uint8))),
        [],
        "are scored with --binary",
    ),
    "an unknown protocol": (
        lambda p, a: None,
        ["--protocol", "lvos"],
        "lvos-v1, lvos-v2, mose-v1, mose-v2, got 'lvos'",
    ),
    "a group file too many": (lambda p, a: None, ["--unseen", __file__], "knows no unseen categories"),
    "other metadata": (lambda p, a: None, ["--meta", __file__], "--meta must be JSON"),
    "a model beside": (lambda p, a: None, ["--model", "x"], "--model does not go with --predictions"),
    "no process": (lambda p, a: None, ["--workers", "0"], "--workers must be at least 1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_code_2(
    mistake: str, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    make, options, message = MISTAKES[mistake]
    make(*folders)
    assert main(command(folders, *options)) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_a_folder_too_high_is_recognised(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    predictions, annotations = folders
    assert main(command((predictions.parent, annotations))) == 2
    assert f"did you mean {annotations.parent / 'annotations'}?" in capsys.readouterr().err


def test_a_cut_off_zip_file_is_recognised(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    packed = folders[0].parent / "predictions.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folders[0].rglob("*.png")):
            archive.write(file, file.relative_to(folders[0]))
    packed.write_bytes(packed.read_bytes()[:-200])
    assert main(command((packed, folders[1]))) == 2
    assert "is cut off or damaged" in capsys.readouterr().err


def test_annotations_are_needed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["evaluate", "--predictions", str(tmp_path)]) == 2
    assert "--annotations is needed to score masks" in capsys.readouterr().err
    assert main(["evaluate", "--server", "mose"]) == 2
    assert "--server needs --check" in capsys.readouterr().err
