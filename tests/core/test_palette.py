"""Label maps as pictures with a palette."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clip_support import grey
from transformers_uniref.core.mask_reading import load_label_map
from transformers_uniref.core.palette import davis_palette, label_image, save_label_map


def test_palette_begins_with_the_colours_of_davis() -> None:
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    palette = davis_palette()
    assert [tuple(colour) for colour in palette[:7].tolist()] == expected
    assert tuple(palette[8].tolist()) == (64, 0, 0) and tuple(palette[255].tolist()) == (224, 224, 192)
    assert len({tuple(colour) for colour in palette.tolist()}) == 256


def test_label_map_survives_its_file(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 256, (13, 17))
    save_label_map(tmp_path / "labels.png", labels)
    with Image.open(tmp_path / "labels.png") as image:
        assert image.mode == "P"
        assert image.getpalette() == davis_palette().flatten().tolist()
    assert np.array_equal(load_label_map(tmp_path / "labels.png"), labels)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.png"]


def test_masks_are_read_whatever_their_mode(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[2:4, 3:6] = 1
    for name, image in {
        "bit": Image.fromarray(mask > 0),
        "grey": Image.fromarray(mask * 255),
        "rgb": Image.fromarray(mask * 255).convert("RGB"),
        "palette": label_image(mask),
        "coloured": label_image(mask).convert("RGB"),
    }.items():
        image.save(tmp_path / f"{name}.png")
        assert np.array_equal(load_label_map(tmp_path / f"{name}.png"), mask), name


def test_ids_of_a_coloured_mask_are_found(tmp_path: Path) -> None:
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    label_image(labels).convert("RGB").save(tmp_path / "coloured.png")
    assert np.array_equal(load_label_map(tmp_path / "coloured.png"), labels)


def test_masks_that_cannot_be_right_are_refused(tmp_path: Path) -> None:
    label_image(np.eye(8, dtype=np.uint8)).convert("RGB").save(tmp_path / "mask.jpg")
    with pytest.raises(ValueError, match="lossless.*mask.jpg"):
        load_label_map(tmp_path / "mask.jpg")
    Image.fromarray(grey(4, 4, 37)).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match=r"\(37, 37, 37\) at row 0, column 0"):
        load_label_map(tmp_path / "photo.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing else")
    with pytest.raises(ValueError, match="broken.png"):
        load_label_map(tmp_path / "broken.png")
    for labels, message in ((np.zeros((2, 2)), "integer type"), (np.full((2, 2), 256), "0..255")):
        with pytest.raises(ValueError, match=message):
            label_image(labels)
    with pytest.raises(ValueError, match="two-dimensional"):
        label_image(np.zeros((2, 2, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=".png"):
        save_label_map(tmp_path / "labels.jpg", np.zeros((2, 2), dtype=np.uint8))
