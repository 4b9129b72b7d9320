"""Files whose suffix is in capitals, as cameras and Windows write it, are read wherever small letters are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converter_support import clip, convert, grey_png, jpeg, palette_png, put, records, square
from transformers_uniref.core.masks import binary_mask
from transformers_uniref.datasets.converters.source_tree import SourceTree
from transformers_uniref.evaluation.mask_sources import MaskFolder
from transformers_uniref.evaluation.sequence_folders import SequenceRows
from transformers_uniref.evaluation.submission_servers import SERVERS, read_requirements
from transformers_uniref.frontends.cli.picture_inputs import find_pictures
from transformers_uniref.frontends.cli.tracking.prompts import Span, masks_for, read_prompts
from transformers_uniref.frontends.errors import UserError
from transformers_uniref.media.video.io import probe_clip


def in_capitals(root: Path, *suffixes: str) -> Path:
    for path in sorted(path for path in root.rglob("*") if path.suffix in suffixes):
        path.rename(path.with_suffix(path.suffix.upper()))
    return root


def test_masks_for_scoring(tmp_path: Path) -> None:
    put(tmp_path, {f"clip/{number:05d}.png": palette_png(square(number, 2)) for number in range(2)})
    masks = MaskFolder(in_capitals(tmp_path, ".png"), "predictions")
    assert masks.frames("clip") == ["00000", "00001"]
    assert np.array_equal(masks.read("clip", "00001"), square(1, 2))


def test_clips_for_evaluation_and_what_a_server_wants(tmp_path: Path) -> None:
    files = {f"one/frames/{number}.jpg": jpeg() for number in (2, 10)}
    files |= {f"one/masks/{number}.png": palette_png(square(number % 5, 3, number=7)) for number in (2, 10)}
    row = SequenceRows(in_capitals(put(tmp_path / "own", files), ".jpg", ".png")).row(0)
    assert row["frame_names"] == ["2", "10"] and [entry["object_id"] for entry in row["instances"]] == [7]
    source = put(tmp_path / "mose", clip("JPEGImages", "Annotations", "aaaa", {"00000": square(1, 1)}))
    wanted = read_requirements(in_capitals(source, ".jpg", ".png"), SERVERS["mose"])
    assert wanted.frames == {"aaaa": {"": ["00000"]}} and wanted.ids == {"aaaa": {1}}


def test_masks_of_a_clip_to_follow(tmp_path: Path) -> None:
    put(tmp_path, {f"clip/{number:05d}.jpg": jpeg() for number in range(3)})
    put(tmp_path, {"masks/clip/00001.png": palette_png(square(1, 2)), "single/clip.png": grey_png(square(1, 2))})
    Image.fromarray(square(1, 2) * 255).convert("RGB").save(tmp_path / "tiff.tif")
    put(tmp_path, {"as-tiff/00002.tif": (tmp_path / "tiff.tif").read_bytes(), "empty/readme.txt": "none"})
    in_capitals(tmp_path, ".jpg", ".png", ".tif")
    info = probe_clip(tmp_path / "clip")
    (folder,) = masks_for([tmp_path / "masks"], "clip")
    assert list(read_prompts([folder], [], [], info, Span()).masks) == [1]
    assert [path.name for path in masks_for([tmp_path / "single"], "clip")] == ["clip.PNG"]
    assert list(read_prompts([tmp_path / "as-tiff"], [], [], info, Span()).masks) == [2]
    with pytest.raises(UserError, match="holds none"):
        read_prompts([tmp_path / "empty"], [], [], info, Span())
    assert binary_mask(tmp_path / "tiff.TIF", None, "masks").sum() == 16


def test_pictures_of_a_folder(tmp_path: Path) -> None:
    put(tmp_path, {"a.JPEG": jpeg(), "b.JPG": jpeg(), "c.PNG": palette_png(square(1, 1)), "d.TIF": b"", "e.txt": "no"})
    assert [picture.name for picture in find_pictures([str(tmp_path)])] == ["a", "b", "c", "d"]


@pytest.mark.parametrize("zipped", [False, True])
def test_originals_of_data_sets(zipped: bool, tmp_path: Path) -> None:
    files = {f"fewshot_data/bus/{number}.jpg": jpeg() for number in (1, 2)}
    files |= {f"fewshot_data/bus/{number}.png": grey_png(square(2, 2) * 255) for number in (1, 2)}
    source = in_capitals(put(tmp_path / "fss", files | {"fss_test_set.txt": "bus\n"}), ".jpg", ".png")
    clips = put(tmp_path / "mose", clip("valid/JPEGImages", "valid/Annotations", "aaaa", {"00000": square(1, 1)}))
    in_capitals(clips, ".jpg", ".png")
    if zipped:
        with zipfile.ZipFile(tmp_path / "all.ZIP", "w") as archive:
            for path in sorted(source.rglob("*.*")):
                archive.write(path, path.relative_to(source))
        source = tmp_path / "all.ZIP"
    convert("fss-1000", source, tmp_path / "out", "test")
    assert set(records(tmp_path / "out", "test")) == {"test/bus/1", "test/bus/2"}
    tree = SourceTree(source)
    assert tree.is_file("fewshot_data/bus/1.jpg") and not tree.is_file("fewshot_data/bus/3.jpg")
    assert tree.read("fewshot_data/bus/1.jpg") == tree.read("fewshot_data/bus/1.JPG")
    convert("mose", clips, tmp_path / "mose-out", "valid")
    (record,) = records(tmp_path / "mose-out", "valid").values()
    assert list(record.instances) == [1]
