"""Marking an object on the page without a browser: clicks, boxes, mask files, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transformers_uniref.core.palette import save_label_map
from transformers_uniref.frontends.app.clicks import add_click, click_lines, clicked_mask, without_last_click
from transformers_uniref.frontends.app.limits import EDITOR_SIDE
from transformers_uniref.frontends.app.marking import BOX, CLICK, FILE, PAINT, Marking
from transformers_uniref.frontends.app.marking_area import objects_of_mask, pixel_of
from transformers_uniref.frontends.app.mask_files import read_mask_file
from transformers_uniref.frontends.errors import UserError
from transformers_uniref.processors.drawn_references import box_mask, point_mask

SIZE = (48, 64)


# --------------------------------------------------------------------------------------------------------------- clicks
def test_clicks_become_points_and_are_taken_back_one_by_one() -> None:
    text = add_click(add_click("", (10, 20), box=False), (30.5, 7), box=False)
    assert text == "10, 20\n30.5, 7"
    assert np.array_equal(clicked_mask(text, SIZE, box=False), point_mask([(10, 20), (30.5, 7)], SIZE))
    assert without_last_click(text) == "10, 20"
    assert without_last_click(without_last_click(text)) == "" == without_last_click("")


@settings(deadline=None, max_examples=25)
@given(corners=st.lists(st.tuples(st.integers(0, 64), st.integers(0, 48)), min_size=2, max_size=2))
def test_two_clicks_are_opposite_corners_whichever_comes_first(corners: list[tuple[int, int]]) -> None:
    text = ""
    for corner in corners:
        text = add_click(text, corner, box=True)
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
    assert click_lines(text) == [[x0, y0, x1, y1]]
    if x0 < x1 and y0 < y1:
        assert np.array_equal(clicked_mask(text, SIZE, box=True), box_mask((x0, y0, x1, y1), SIZE))
    else:
        with pytest.raises(UserError, match="The corners of the box must have x0 < x1 and y0 < y1"):
            clicked_mask(text, SIZE, box=True)


def test_a_third_click_begins_another_box_and_undo_leaves_one_corner() -> None:
    text = add_click("1, 2, 30, 40", (5, 6), box=True)
    assert text == "5, 6"
    assert without_last_click("1, 2, 30, 40") == "1, 2"


@pytest.mark.parametrize(
    ("text", "box", "said"),
    [
        ("", False, "No point is set yet: click on the object"),
        (None, True, "No box is drawn yet: click on two opposite corners"),
        ("4, 5", True, "Half of the box is there"),
        ("4, 5\n6, 7", True, "A box is one line of four numbers"),
        ("4, 5, 6", False, "A point is a line of two numbers, x, y; got 4, 5, 6"),
        ("four, five", False, "A line must hold numbers with commas between them"),
        ("nan, inf", False, "A line must hold numbers"),
        ("70, 5", False, "The points must lie in the picture of width 64 and height 48"),
        ("100, 100, 200, 200", True, "The corners of the box must overlap the picture"),
        ("1, 1\n" * 51, False, "Up to 50 points are accepted, got 51"),
    ],
)
def test_what_is_no_point_and_no_box_is_refused_in_words(text: str | None, box: bool, said: str) -> None:
    with pytest.raises(UserError, match=said) as told:
        clicked_mask(text, SIZE, box=box)
    assert "`" not in str(told.value)


def test_a_click_on_the_preview_is_a_place_in_the_picture() -> None:
    # The preview of a picture of 64 x 48 is ten times as large.
    assert EDITOR_SIDE == 640
    assert pixel_of([0, 0], SIZE) == (0.1, 0.1) and pixel_of([639, 479], SIZE) == (64, 48)
    assert pixel_of([324, 234], SIZE) == (32.5, 23.5)


# ----------------------------------------------------------------------------------------------------------- mask files
def labels_file(file: Path, size: tuple[int, int] = SIZE, numbers: tuple[int, ...] = (3, 9)) -> Path:
    labels = np.zeros(size, dtype=np.uint8)
    for place, number in enumerate(numbers):
        labels[4 * place : 4 * place + 3, 5:20] = number
    save_label_map(file, labels)
    return file


def test_id_maps_and_binary_masks_are_read_to_the_bit(tmp_path: Path) -> None:
    ids = labels_file(tmp_path / "ids.png")
    values = np.asarray(Image.open(ids))
    masks = read_mask_file(str(ids), SIZE)
    assert list(masks) == [3, 9] and all(np.array_equal(masks[n], values == n) for n in masks)
    for name, picture in (
        ("grey.png", Image.fromarray((values == 3).astype(np.uint8) * 255)),
        ("bits.png", Image.fromarray(values == 3)),
        ("ones.bmp", Image.fromarray((values == 3).astype(np.uint8))),
    ):
        picture.save(tmp_path / name)
        masks = read_mask_file(str(tmp_path / name), SIZE)
        assert list(masks) == [1] and np.array_equal(masks[1], values == 3), name


def test_a_mask_that_misses_its_picture_by_a_hair_is_fitted_with_a_warning(tmp_path: Path) -> None:
    file = labels_file(tmp_path / "ids.png", (48, 63))
    with pytest.warns(UserWarning, match="resized"):
        masks = read_mask_file(str(file), SIZE)
    assert masks[3].shape == SIZE


def test_files_that_are_no_masks_of_the_picture_are_refused_by_name_and_not_by_folder(tmp_path: Path) -> None:
    labels_file(tmp_path / "other-size.png", (30, 40))
    labels_file(tmp_path / "empty.png", numbers=())
    labels_file(tmp_path / "many.png", numbers=tuple(range(1, 12)))
    (tmp_path / "words.png").write_text("words")
    (tmp_path / "drawing.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    Image.new("1", (10_000, 5_000)).save(tmp_path / "large.png")
    photograph = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    Image.fromarray(photograph).save(tmp_path / "photograph.png")
    for name, said in (
        ("other-size.png", "The mask file is 40 x 30, but the picture that it belongs to is 64 x 48"),
        ("empty.png", "The mask file must mark at least one object"),
        ("many.png", r"The mask file holds 11 objects \(1, 2, 3, 4, 5, 6, ...\); up to 10"),
        ("words.png", "The mask file is no picture that can be read: words.png"),
        ("drawing.png", "The mask file is no picture that can be read: drawing.png"),
        ("large.png", "The mask file has 50.0 megapixels"),
        ("photograph.png", "The mask file .*photograph.png"),
    ):
        with pytest.raises(UserError, match=said) as told:
            read_mask_file(str(tmp_path / name), SIZE)
        assert str(tmp_path) not in str(told.value) and "`" not in str(told.value)
    with pytest.raises(UserError, match="The mask file is missing"):
        read_mask_file(None, SIZE)


# -------------------------------------------------------------------------------------------------------------- marking
def test_only_the_chosen_way_of_marking_counts(tmp_path: Path) -> None:
    drawn = np.zeros((*SIZE, 4), dtype=np.uint8)
    drawn[10:20, 10:20, 3] = 255
    file = str(labels_file(tmp_path / "ids.png", numbers=(3,)))
    given: dict[str, Any] = dict(editor={"layers": [drawn]}, clicks="40, 30", file=file)
    masks = {way: Marking(way, **given).mask(SIZE) for way in (PAINT, CLICK, FILE)}
    assert masks[PAINT].sum() == 100 and masks[CLICK][30, 40] and masks[FILE].sum() == 45
    with pytest.raises(UserError, match="Half of the box"):
        Marking(BOX, **given).mask(SIZE)
    assert Marking(PAINT, None, "40, 30", file).is_empty and not Marking(CLICK, None, "40, 30").is_empty


def test_one_object_of_a_mask_file_is_chosen_where_there_are_several(tmp_path: Path) -> None:
    file = str(labels_file(tmp_path / "ids.png"))
    with pytest.raises(UserError, match=r"holds 2 objects \(3, 9\): choose one"):
        Marking(FILE, file=file).mask(SIZE)
    assert np.array_equal(Marking(FILE, file=file, number="9").mask(SIZE), read_mask_file(file, SIZE)[9])
    for number in ("4", "nine"):
        with pytest.raises(UserError, match=f"holds no object {number}; it holds 3, 9"):
            Marking(FILE, file=file, number=number).masks(SIZE)


def test_the_preview_shows_what_is_marked_and_never_fails(tmp_path: Path) -> None:
    picture = np.full((*SIZE, 3), 90, dtype=np.uint8)
    file = str(labels_file(tmp_path / "ids.png"))
    plain = Marking(CLICK).preview(picture)
    assert plain.shape == (480, 640, 3) and (plain == 90).all()
    for marking in (Marking(CLICK, clicks="40, 30"), Marking(BOX, clicks="1, 1, 30, 30"), Marking(FILE, file=file)):
        assert (marking.preview(picture) != 90).any(), marking
    for marking in (Marking(BOX, clicks="no, numbers"), Marking(CLICK, clicks="900, 900"), Marking(FILE, file=None)):
        assert marking.preview(picture).shape == (480, 640, 3), marking
    assert Marking(BOX, clicks="9, 9").preview(picture)[90, 90].tolist() != [90, 90, 90], "a first corner is shown"


def test_a_file_that_is_told_of_twice_leaves_what_was_chosen_meanwhile() -> None:
    pytest.importorskip("gradio")
    assert objects_of_mask([2, 7])["value"] == "2"
    assert "value" not in objects_of_mask([2, 7], chosen="7")
    assert objects_of_mask([2, 9], chosen="7")["value"] == "2"
    assert objects_of_mask([], chosen="7")["value"] is None
