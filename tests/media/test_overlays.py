"""Masks drawn over pictures."""

from __future__ import annotations

import numpy as np
import pytest

from clip_support import grey
from transformers_uniref.media.overlays import contact_sheet, object_colour, overlay_labels, overlay_masks


def test_overlay_changes_the_mask_and_nothing_else() -> None:
    image = grey(60, 80)
    mask = np.zeros((60, 80), dtype=bool)
    mask[20:40, 10:50] = True
    drawn = overlay_masks(image, [mask])
    assert (drawn[~mask] == 90).all() and (drawn[mask] != 90).any(-1).all()
    assert tuple(drawn[20, 10].tolist()) == object_colour(1)
    assert tuple(drawn[30, 30].tolist()) != object_colour(1)
    assert (image == 90).all()


def test_overlay_of_a_label_map_colours_by_id() -> None:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[2:12, 2:12], labels[20:30, 20:30] = 3, 7
    drawn = overlay_labels(grey(40, 40), labels, opacity=1.0)
    assert tuple(drawn[5, 5].tolist()) == object_colour(3)
    assert tuple(drawn[25, 25].tolist()) == object_colour(7)
    assert np.array_equal(overlay_labels(grey(4, 4), np.zeros((4, 4), dtype=int)), grey(4, 4))


def test_overlay_reaches_the_border_of_tiny_pictures() -> None:
    drawn = overlay_masks(grey(1, 3), {2: np.array([[True, True, False]])})
    assert tuple(drawn[0, 0].tolist()) == object_colour(2) and drawn[0, 2, 0] == 90


@pytest.mark.parametrize(
    ("image", "mask", "message"),
    [
        (np.zeros((4, 4), dtype=np.uint8), np.ones((4, 4)), "`image`"),
        (np.zeros((4, 4, 3)), np.ones((4, 4)), "`image`"),
        (grey(4, 4), np.ones((4, 5)), "`masks`"),
    ],
)
def test_overlay_names_the_wrong_argument(image: np.ndarray, mask: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlay_masks(image, [mask])


def test_contact_sheet_places_pictures_of_any_size() -> None:
    pictures = [grey(30, 90, 200), grey(200, 20, 210), grey(64, 64, 220)]
    sheet = contact_sheet(
        pictures, ["one", "a caption that is far too long for its little cell " * 3, ""], cell=(96, 64)
    )
    assert sheet.shape == (8 + 64 + 36 + 8, 8 + 3 * (96 + 8), 3)
    for value in (200, 210, 220):
        assert (sheet == value).all(-1).sum() > 64 * 4
    assert contact_sheet(pictures, columns=1, cell=(32, 32)).shape == (8 + 3 * 40, 48, 3)
    with pytest.raises(ValueError, match="captions"):
        contact_sheet(pictures, ["one"])
    with pytest.raises(ValueError, match="images"):
        contact_sheet([])
