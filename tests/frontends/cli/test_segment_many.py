"""`uniref segment` with many pictures: where they come from, what is written, and what one bad picture does."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from processor_support import disc, picture
from transformers_uniref.core.mask_codes import decode_rle
from transformers_uniref.core.mask_reading import load_label_map
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.frontends.cli.picture_inputs import find_pictures
from transformers_uniref.frontends.errors import UserError

DOG = ["--text", "the dog"]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `photos` with three pictures, the last one of another size."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name, shape in (("1", (80, 120)), ("2", (80, 120)), ("10", (60, 90))):
        Image.fromarray(picture(*shape, seed=len(name))).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], code: int, *options: str) -> tuple[list[dict[str, Any]], str]:
    """The JSON lines, and what was said."""
    assert main(["segment", *options, "--json"]) == code
    shown = capsys.readouterr()
    return [json.loads(line) for line in shown.out.splitlines()], shown.err


# -------------------------------------------------------------------------------------------------------------- inputs
def labels(*given: str) -> list[str]:
    return [found.label for found in find_pictures(given)]


def test_a_folder_stands_for_its_pictures_in_natural_order(files: Path) -> None:
    (files / "photos" / "notes.txt").touch()
    (files / "photos" / ".hidden.png").touch()
    assert labels("photos") == ["photos/1.png", "photos/2.png", "photos/10.png"]


def test_patterns_are_expanded_here_because_not_every_shell_does(files: Path) -> None:
    assert labels("photos/*.png") == ["photos/1.png", "photos/2.png", "photos/10.png"]
    assert labels("**/1*.png") == ["photos/1.png", "photos/10.png"]
    assert labels("phot*") == labels("photos")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(files: Path) -> None:
    Image.fromarray(picture()).save("photos/[1].png")
    assert labels("photos/[1].png") == ["photos/[1].png"]


def test_urls_of_local_files_are_paths(files: Path) -> None:
    Image.fromarray(picture()).save("photos/a b.png")
    assert labels((files / "photos" / "a b.png").as_uri()) == [str(files / "photos" / "a b.png")]
    assert labels(f"file://localhost{files}/photos/1.png") == [f"{files}/photos/1.png"]


def test_a_picture_that_is_named_twice_is_taken_once(files: Path) -> None:
    assert labels("photos/2.png", "photos", "./photos/1.png") == ["photos/2.png", "photos/1.png", "photos/10.png"]


def test_pictures_of_one_name_get_results_of_their_own(files: Path) -> None:
    (files / "more").mkdir()
    for name in ("more/1.png", "photos/1.jpg"):
        Image.fromarray(picture()).save(name)
    assert [found.name for found in find_pictures(["photos", "more"])] == ["1", "1-2", "2", "10", "1-3"]


@pytest.mark.parametrize("given", ["nowhere", "nowhere/*.png", "ftp://host/a.png"])
def test_what_is_not_there_is_refused_before_anything_else_happens(given: str, files: Path) -> None:
    with pytest.raises(UserError, match="IMAGE"):
        find_pictures(["photos", given])


def test_a_picture_can_come_from_standard_input(
    model: str, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((files / "photos" / "1.png").read_bytes())))
    [result], _ = run(capsys, 0, "-", *DOG, "--model", model)
    assert (result["image"], result["overlay"]) == ("-", "out/stdin/overlay.png")
    [of_the_file], _ = run(capsys, 0, "photos/1.png", *DOG, "--model", model)
    assert result["objects"] == of_the_file["objects"]


# ------------------------------------------------------------------------------------------------------------- results
def test_each_picture_has_a_folder_of_its_own(model: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, said = run(capsys, 0, "photos", *DOG, "--model", model, "--output", "here")
    assert [result["mask"] for result in results] == [f"here/{name}/mask.png" for name in ("1", "2", "10")]
    assert load_label_map("here/10/mask.png").shape == (60, 90)
    assert "photos/10.png: object 1 (the dog): score" in said
    assert "%|" not in said  # no progress bar where standard error is no terminal
    results, _ = run(capsys, 0, "photos/1*.png", *DOG, "--model", model)
    assert [result["mask"] for result in results] == ["out/1/mask.png", "out/10/mask.png"]


def test_every_format_holds_the_same_masks(model: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [result], _ = run(
        capsys, 0, "photos/1.png", *DOG, "--text", "a cat", "--formats", "all", "--model", model, "--output", "here"
    )
    assert sorted(path.name for path in Path("here").iterdir()) == [
        "cutouts",
        "mask.png",
        "masks.json",
        "objects",
        "overlay.png",
    ]
    masks = []
    for path in result["binary"]:
        with Image.open(path) as image:
            assert image.mode == "L" and set(np.unique(np.asarray(image))) <= {0, 255}
            masks.append(np.asarray(image) > 0)
    stored = json.loads(Path(result["rle"]).read_text())
    assert (stored["image"], stored["height"], stored["width"]) == ("photos/1.png", 80, 120)
    for mask, item, printed in zip(masks, stored["objects"], result["objects"], strict=True):
        assert np.array_equal(decode_rle(item["segmentation"]), mask)
        assert item["area"] == mask.sum() == printed["pixels"]
        assert (item["id"], item["text"], item["score"]) == (printed["id"], printed["text"], printed["score"])
    assert np.array_equal(load_label_map(result["mask"]) > 0, masks[0] | masks[1])
    shown = np.asarray(Image.open("photos/1.png").convert("RGB"))
    for mask, path in zip(masks, result["cutout"], strict=True):
        if path is None:
            assert not mask.any()
            continue
        with Image.open(path) as cropped:
            assert cropped.mode == "RGBA"
            seen = np.asarray(cropped)[..., 3] > 0
            assert seen.any(0)[[0, -1]].all() and seen.any(1)[[0, -1]].all()  # nothing but the object's box
    [whole], _ = run(
        capsys,
        0,
        "photos/1.png",
        *DOG,
        "--formats",
        "cutout,overlay",
        "--whole-cutouts",
        "--no-legend",
        "--model",
        model,
    )
    with Image.open(whole["cutout"][0]) as alone, Image.open(whole["overlay"]) as overlay:
        assert alone.size == overlay.size == (120, 80)
        opaque = np.asarray(alone)[..., 3] == 255
        assert opaque.any() and not (opaque & ~masks[0]).any()
        assert np.array_equal(np.asarray(alone)[..., :3][opaque], shown[opaque])


def test_pycocotools_reads_the_run_lengths(model: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coder = pytest.importorskip("pycocotools.mask")
    [result], _ = run(capsys, 0, "photos/1.png", *DOG, "--formats", "rle,binary", "--model", model)
    assert "overlay" not in result
    [item] = json.loads(Path(result["rle"]).read_text())["objects"]
    with Image.open(result["binary"][0]) as image:
        assert np.array_equal(coder.decode(item["segmentation"]), np.asarray(image) > 0)
    assert item["area"] == coder.area(item["segmentation"])
    assert item["bbox"] == coder.toBbox(item["segmentation"]).tolist()


def test_an_absent_object_has_an_empty_box(model: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    formats = ["--formats", "rle,cutout,overlay"]
    [result], _ = run(capsys, 0, "photos/1.png", *DOG, *formats, "--threshold", "1", "--model", model)
    assert result["cutout"] == [None] and Path(result["overlay"]).is_file()
    [item] = json.loads(Path(result["rle"]).read_text())["objects"]
    assert item["bbox"] == [0, 0, 0, 0] and item["area"] == 0


REFERENCES = ["--reference-image", "photos/2.png", "--reference-mask", "mask.png"]


@pytest.mark.parametrize("asked", [[*DOG, "--text", "a cat"], REFERENCES], ids=["sentences", "an example"])
def test_the_size_of_a_batch_does_not_change_the_results(
    asked: list[str], model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_label_map("mask.png", disc())
    for seed in (5, 6):
        Image.fromarray(picture(80, 120, seed=seed)).save(f"photos/{seed}.png")
    alone, _ = run(capsys, 0, "photos", *asked, "--model", model, "--output", "alone")
    together, _ = run(capsys, 0, "photos", *asked, "--model", model, "--output", "together", "--batch-size", "4")
    assert len(alone) == len(together) == 5
    for one, other in zip(alone, together, strict=True):
        assert one["image"] == other["image"]
        for left, right in zip(one["objects"], other["objects"], strict=True):
            assert left["score"] == pytest.approx(right["score"], abs=1e-5)
            assert left["box"] == pytest.approx(right["box"], abs=0.02)
        differing = load_label_map(one["mask"]) != load_label_map(other["mask"])
        assert differing.mean() < 0.001  # rounding may move a pixel that lies on a border


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("batch", ["1", "3"])
def test_a_damaged_picture_is_reported_and_the_others_are_done(
    batch: str, model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Path("photos/2.png").read_bytes()
    Path("photos/2.png").write_bytes(whole[: len(whole) // 2])
    results, said = run(capsys, 1, "photos", *DOG, "--model", model, "--output", "here", "--batch-size", batch)
    by_image = {result["image"]: result for result in results}
    assert "no readable image" in by_image["photos/2.png"]["error"] and len(by_image) == 3
    assert sorted(folder.name for folder in Path("here").iterdir()) == ["1", "10"]
    assert "uniref: error: photos/2.png is left out: " in said
    assert said.splitlines()[-1] == "uniref: error: 1 of 3 pictures could not be segmented"


def test_a_picture_that_the_model_refuses_does_not_spoil_its_batch(
    model: str, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers_uniref.annotation.answering import ModelAnswering

    answer = ModelAnswering.__call__

    def refuse_small_ones(self: ModelAnswering, questions: Any) -> Any:
        if any(image.shape[0] == 60 for image, _ in questions):
            raise UserError("too small")
        return answer(self, questions)

    monkeypatch.setattr(ModelAnswering, "__call__", refuse_small_ones)
    results, said = run(capsys, 1, "photos", *DOG, "--model", model, "--batch-size", "3")
    assert [result.get("error") for result in results] == [None, None, "too small"]


def test_results_are_only_replaced_when_asked_and_that_is_known_before_the_work(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["photos", *DOG, "--model", model, "--output", "here"]
    run(capsys, 0, "photos/2.png", *DOG, "--model", model, "--output", "here/2")
    assert main(["segment", *command]) == 2
    assert "--output holds 2/overlay.png, 2/mask.png already: here" in capsys.readouterr().err
    assert [folder.name for folder in Path("here").iterdir()] == ["2"]
    run(capsys, 0, *command, "--overwrite")
    assert len(list(Path("here").iterdir())) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch-size", "0"], "must be 1 or more, got 0"),
        (["--batch-size", "few"], "must be a whole number, got 'few'"),
        (["--formats", "overlay,gif"], "some of overlay, palette, binary, cutout, rle"),
        (["--formats", ""], "must be all or some of"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
        (["--threshold", "high"], "invalid float value"),
    ],
)
def test_an_option_of_another_kind_says_what_is_accepted(
    options: list[str], message: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["segment", "photos", *DOG, *options])
    assert stop.value.code == 2 and message in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------------- computing
def test_half_precision_is_nearly_the_same(model: str, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [exact], _ = run(capsys, 0, "photos/1.png", *DOG, "--model", model)
    [half], _ = run(capsys, 0, "photos/1.png", *DOG, "--model", model, "--dtype", "bfloat16", "--device", "auto")
    assert half["objects"] != exact["objects"]
    assert half["objects"][0]["score"] == pytest.approx(exact["objects"][0]["score"], abs=0.05)


def test_a_machine_without_a_compiler_says_so_at_once(
    model: str, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(function: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", no_compiler)
    assert main(["segment", "photos", *DOG, "--model", model, "--compile"]) == 2
    said = capsys.readouterr().err
    assert said == "uniref: error: --compile cannot be used on cpu, torch.compile failed: no C++ compiler\n"


def test_compile_hands_each_part_of_the_model_to_the_compiler(
    model: str, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler of this test changes nothing and only counts how often its functions run."""
    calls: list[Any] = []

    def count(function: Any, **options: Any) -> Any:
        def counted(*given: Any, **named: Any) -> Any:
            calls.append(getattr(function, "__self__", None))
            return function(*given, **named)

        return counted

    monkeypatch.setattr(torch, "compile", count)
    [as_it_is], _ = run(capsys, 0, "photos/1.png", *DOG, "--model", model)
    assert not calls
    [result], _ = run(capsys, 0, "photos/1.png", *DOG, "--model", model, "--compile")
    assert {"VisualEncoder", "DeformableTransformer"} <= {type(part).__name__ for part in calls}
    assert result["objects"] == as_it_is["objects"]
