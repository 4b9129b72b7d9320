"""`uniref segment` and `uniref export`: pictures in, masks out, and what happens when they cannot."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from processor_support import disc, picture
from transformers_uniref.core import model_names as bundled_models
from transformers_uniref.core.mask_reading import load_label_map
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.frontends import loading
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.inference.results import SegmentedObject, label_map


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("photo", "example"):
        Image.fromarray(picture(seed=len(name))).save(tmp_path / f"{name}.png")
    save_label_map(tmp_path / "mask.png", disc())
    return tmp_path


REFERENCES = ["--reference-image", "example.png", "--reference-mask", "mask.png"]


@pytest.mark.parametrize(
    ("references", "objects"),
    [
        (["--text", "the dog"], 1),
        (["--text", "the dog", "--text", "a cat on the left"], 2),
        (REFERENCES, 1),
        ([*REFERENCES, *REFERENCES], 1),
        ([*REFERENCES, "--text", "the red car"], 1),
    ],
    ids=["a sentence", "two sentences", "an example", "two examples", "both"],
)
def test_what_is_referred_to_is_drawn_and_saved(
    references: list[str], objects: int, model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", "photo.png", *references, "--model", model, "--json"]) == 0
    shown = capsys.readouterr()
    result = json.loads(shown.out)
    assert [found["id"] for found in result["objects"]] == list(range(1, objects + 1))
    assert all(0 <= found["score"] <= 1 and len(found["box"]) == 4 for found in result["objects"])
    assert result["overlay"] == "out/photo/overlay.png"
    labels = load_label_map(files / result["mask"])
    assert labels.shape == (80, 120) and labels.max() <= objects
    with Image.open(files / result["mask"]) as mask, Image.open(files / result["overlay"]) as overlay:
        assert mask.mode == "P" and overlay.mode == "RGB"
        assert overlay.width == 120 and overlay.height > 80  # a legend lies below
    assert "written: " in shown.err


def test_a_picture_turned_by_its_camera_gives_upright_results(model: str, files: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(picture()).save("turned.jpg", exif=turned)
    assert main(["segment", "turned.jpg", "--text", "a dog", "--model", model, "--output", "here"]) == 0
    assert load_label_map(files / "here" / "mask.png").shape == (120, 80)


def test_below_the_gate_the_answer_is_empty_and_all_shows_it(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["segment", "photo.png", "--text", "a dog", "--text", "a red zebra", "--model", model, "--json"]
    found: dict[tuple[str, ...], list[int]] = {}
    for options, gate, line in (
        ((), 0.001, None),
        (
            ("--threshold", "0.99"),
            0.99,
            r"no answer passed \.99; best \.\d+ \(--threshold sets another gate",
        ),
        (("--threshold", "0.99", "--all"), 0.99, r"no answer passed \.99; best \.\d+: shown because of --all"),
        (("--threshold", "0"), None, None),
    ):
        assert main([*asked, *options]) == 0
        shown = capsys.readouterr()
        result = json.loads(shown.out)
        found[options] = [item["pixels"] for item in result["objects"]]
        assert result["threshold"] == gate
        assert [item["passed"] for item in result["objects"]] == [gate != 0.99] * 2
        assert re.search(line, shown.err) if line else "no answer passed" not in shown.err
        with Image.open(files / result["mask"]) as mask:
            assert (np.asarray(mask).max() == 0) == (options == ("--threshold", "0.99"))
    closed = found.pop(("--threshold", "0.99"))
    assert closed == [0, 0] and all(pixels == found[()] for pixels in found.values()) and min(found[()]) > 0


def test_unknown_words_are_told_and_a_sentence_of_nothing_else_finds_nothing(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", "photo.png", "--text", "red zebra", "--text", "kraken", "--model", model, "--json"]) == 0
    shown = capsys.readouterr()
    assert "uniref: unknown to this model: zebra, kraken" in shown.err
    assert shown.err.count("nothing in 'kraken' was understood") == 1 and "'red zebra'" not in shown.err
    partly, nothing = json.loads(shown.out)["objects"]
    assert (partly["unknown_words"], partly["passed"]) == (["zebra"], True)
    assert (nothing["unknown_words"], nothing["passed"], nothing["pixels"]) == (["kraken"], False, 0)


def test_results_without_a_named_folder_never_replace_earlier_ones(model: str, files: Path) -> None:
    for _ in range(2):
        assert main(["segment", "photo.png", "--text", "a dog", "--model", model]) == 0
    assert sorted(folder.name for folder in (files / "out").iterdir()) == ["photo", "photo-2"]


def test_a_named_folder_is_only_overwritten_when_asked(
    model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["segment", "photo.png", "--text", "a dog", "--model", model, "--output", "here"]
    assert main(command) == 0
    (files / "here" / "mine.txt").touch()
    assert main(command) == 2
    assert "holds overlay.png, mask.png already" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert sorted(file.name for file in (files / "here").iterdir()) == ["mask.png", "mine.txt", "overlay.png"]


def test_the_better_score_wins_where_masks_overlap() -> None:
    def found(score: float, *mask: bool) -> SegmentedObject:
        return SegmentedObject(np.array([mask]), "thing", score=score)

    assert label_map([found(0.9, True, False), found(0.5, True, True)]).tolist() == [[1, 2]]
    assert label_map([found(0.9, True, False), found(0.95, True, True)]).tolist() == [[2, 2]]


def png_that_claims(width: int, height: int) -> bytes:
    """The beginning of a PNG of that size, of which no pixel is there."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["photo.png"], "say what to look for"),
        (["nowhere.png", "--text", "a dog"], "does not exist: nowhere.png"),
        (["broken.png", "--text", "a dog"], "no readable image: broken.png"),
        (["photo.png", "--text", "  "], "`--text` must name something"),
        (["photo.png", "--reference-image", "example.png"], "in pairs, got 1 and 0"),
        (["photo.png", *REFERENCES, "--text", "a dog", "--text", "a cat"], "got 2 sentences"),
        (["photo.png", "--reference-image", "example.png", "--reference-mask", "small.png"], "(80, 120), got (40, 60)"),
        (["photo.png", "--reference-image", "example.png", "--reference-mask", "empty.png"], "without a single pixel"),
        (["photo.png", "--reference-image", "example.png", "--reference-mask", "three.png"], "one other value"),
        (["photo.png", "--text", "a dog", "--threshold", "2"], "--threshold must be between 0 and 1"),
        (["photo.png", "--text", "a dog", "--device", "abacus"], "--device cannot be used: abacus"),
        (["photo.png", "--text", "a dog", "--device", "meta"], "--device cannot be used: meta"),
        (["photo.png", *["--text", "a dog"] * 256], "255 times at most, got 256 sentences"),
        (["photo.png", "nowhere.png", "--text", "a dog"], "does not exist: nowhere.png"),
        (["*.jpeg", "--text", "a dog"], "no file matches *.jpeg"),
        (["none", "--text", "a dog"], "this folder holds no picture"),
        (["", "--text", "a dog"], "got an empty name"),
        (["https://host/photo.png", "--text", "a dog"], "must be a file of this machine"),
        (["file://host/photo.png", "--text", "a dog"], "must be a file of this machine"),
        (["-", "-", "--text", "a dog"], "may be given once"),
        (["-", "--text", "a dog"], "standard input is empty"),
        (["large.png", "--text", "a dog"], "no readable image: large.png (Image size"),
        (["notes.txt", "--text", "a dog"], "no readable image: notes.txt"),
        (["photo.png", "--text", "a dog", "--output", "photo.png"], "must be a folder"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(
    options: list[str],
    message: str,
    model: str,
    files: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (files / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (files / "notes.txt").write_text("no picture")
    (files / "none").mkdir()
    (files / "large.png").write_bytes(png_that_claims(60_000, 60_000))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))
    save_label_map(files / "small.png", disc(40, 60))
    save_label_map(files / "empty.png", np.zeros((80, 120), dtype=np.uint8))
    save_label_map(files / "three.png", disc() * (1 + np.arange(120, dtype=np.uint8) // 40))
    before = sorted(files.rglob("*"))
    assert main(["segment", *options, "--model", model]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("uniref: error: ") and shown.err.count("\n") == 1
    assert message in shown.err
    assert sorted(files.rglob("*")) == before


def test_folders_that_hold_no_usable_model_are_refused(
    model: str, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refusal(folder: str) -> str:
        assert main(["segment", "photo.png", "--text", "a dog", "--model", folder]) == 2
        return capsys.readouterr().err

    (files / "empty").mkdir()
    assert "--model cannot be loaded from empty" in refusal("empty")
    shutil.copytree(model, files / "cut")
    weights = (files / "cut" / "model.safetensors").read_bytes()
    (files / "cut" / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "--model cannot be loaded from cut" in refusal("cut")
    (files / "bert").mkdir()
    (files / "bert" / "config.json").write_text('{"model_type": "bert"}')
    assert "must be a UniRef model, got one of type 'bert'" in refusal("bert")
    shutil.copytree(model, files / "part")
    from safetensors.torch import load_file, save_file

    tensors = load_file(files / "part" / "model.safetensors")
    save_file(dict(list(tensors.items())[5:]), files / "part" / "model.safetensors", metadata={"format": "pt"})
    assert "--model lacks 5 of its weights" in refusal("part")
    assert not (files / "out").exists()


# -------------------------------------------------------------------------------------------------------------- export
@pytest.fixture
def bundled(model: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for the bundled models: one, called tiny."""
    monkeypatch.setattr(bundled_models, "bundled_checkpoints", lambda: {"tiny": Path(model)})
    return Path(model)


def test_the_bundled_model_says_once_what_it_is_unless_told_not_to(
    bundled: Path, model: str, files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*options: str) -> str:
        assert main(["segment", "photo.png", "--text", "a dog", *options]) == 0
        return capsys.readouterr().err

    assert said("--model", "tiny").count("tiny is the bundled model") == 1
    assert "uniref download" in said("--model", "tiny")
    assert "bundled" not in said("--model", "tiny", "--json")
    assert said("--model", "tiny", "--quiet") == ""


def test_an_exported_model_loads_by_its_name(bundled: Path, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from transformers import AutoModel, AutoProcessor

    assert main(["export", "tiny", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["output"] == "tiny" and "model.safetensors" in result["files"]
    loaded, account = AutoModel.from_pretrained("tiny", output_loading_info=True)
    assert type(loaded).__name__ == "UniRefModel"
    assert not account["missing_keys"] and not account["unexpected_keys"]
    assert type(AutoProcessor.from_pretrained("tiny")).__name__ == "UniRefProcessor"


def test_export_replaces_only_when_asked(bundled: Path, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "tiny", "--output", "there"]) == 0
    assert main(["export", "tiny", "--output", "there"]) == 2
    assert "already: there" in capsys.readouterr().err
    assert main(["export", "tiny", "--output", "there", "--overwrite"]) == 0


def test_an_unknown_bundled_model_is_refused(bundled: Path, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "huge"]) == 2
    assert "NAME must be a bundled model (tiny) or the folder of an adapter, got huge" in capsys.readouterr().err
    assert not (files / "huge").exists()


def test_a_bundled_name_is_found_unless_a_folder_has_it(bundled: Path, files: Path) -> None:
    assert loading.checkpoint_location("tiny") == str(bundled)
    assert loading.checkpoint_location("someone/model") == "someone/model"
    (files / "tiny").mkdir()
    assert loading.checkpoint_location("tiny") == "tiny"
