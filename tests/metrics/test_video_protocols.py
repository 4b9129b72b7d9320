"""Which objects each benchmark judges in which frames."""

from __future__ import annotations

import numpy as np
import pytest

from transformers_uniref.evaluation.definitions import PROTOCOL_NAMES
from transformers_uniref.metrics import PROTOCOLS, adaptive_radius, diagonal_radius, judged_frames
from transformers_uniref.metrics.outlines import disk_offsets

FRAMES = ["00000", "00005", "00010", "00015", "00020"]
# Object 3 comes in the third frame, object 1 leaves, 2 is never there, 5 shows in the last frame alone.
IDS = {"00000": {1}, "00005": {1}, "00010": {3}, "00015": {1, 3}, "00020": {3, 5}}


def test_help_texts_name_the_protocols_that_there_are():
    assert tuple(PROTOCOLS) == PROTOCOL_NAMES


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("davis-semi-supervised", {1: FRAMES[1:4]}),
        ("davis-unsupervised", {1: FRAMES}),
        ("ref-davis17", {1: FRAMES}),
        ("youtube-vos", {1: FRAMES[1:], 3: FRAMES[3:]}),
        ("lvos-v1", {1: FRAMES, 3: FRAMES[2:], 5: FRAMES[4:]}),
        ("lvos-v2", {1: FRAMES[1:4], 3: FRAMES[3:4]}),
        ("mose-v1", {1: FRAMES[1:4]}),
        ("mose-v2", {1: FRAMES[1:4]}),
    ],
)
def test_every_protocol_has_its_objects_and_frames(protocol: str, expected: dict[int, list[str]]) -> None:
    assert judged_frames(PROTOCOLS[protocol], FRAMES, IDS) == expected


def test_davis_counts_every_id_up_to_the_highest_of_the_first_frame() -> None:
    ids = {**IDS, "00000": {1, 4}}
    assert list(judged_frames(PROTOCOLS["davis-semi-supervised"], FRAMES, ids)) == [1, 2, 3, 4]
    assert list(judged_frames(PROTOCOLS["mose-v1"], FRAMES, ids)) == [1, 4]


def test_a_frame_range_of_the_metadata_replaces_what_the_masks_show() -> None:
    lives = {1: FRAMES[:4]}
    assert judged_frames(PROTOCOLS["lvos-v1"], FRAMES, IDS, lives)[1] == FRAMES[:4]
    assert judged_frames(PROTOCOLS["lvos-v2"], FRAMES, IDS, lives)[1] == FRAMES[1:3]


def test_small_objects_have_a_smaller_radius_in_mose_v2() -> None:
    picture = np.zeros((480, 854), dtype=bool)
    assert diagonal_radius(picture.shape) == 8
    assert adaptive_radius(picture) == pytest.approx(0.008 * np.hypot(480, 854))
    picture[:20, :20] = True
    assert adaptive_radius(picture) == 2
    picture[:300, :300] = True
    assert 7 < adaptive_radius(picture) < 8


@pytest.mark.parametrize("radius", [1, 4, 8, 17])
def test_a_disk_of_whole_radius_holds_what_is_at_most_that_far(radius: int) -> None:
    rows, columns = disk_offsets(radius)
    distances = rows**2 + columns**2
    assert distances.max() == radius**2 and (np.diff(distances) >= 0).all()
    everywhere = np.arange(-radius, radius + 1)
    assert len(rows) == (everywhere[:, None] ** 2 + everywhere**2 <= radius**2).sum()


def test_a_disk_between_two_whole_radii_lies_off_centre() -> None:
    rows, columns = disk_offsets(7.84)
    # Samples are -7.84, -6.84 ... 8.16; the middle one is .16, and 8.16 lies outside.
    assert (rows.min(), rows.max()) == (-8, 7) or (rows.min(), rows.max()) == (-7, 7)
    assert set(zip(rows, columns, strict=True)) == set(zip(columns, rows, strict=True))
    assert len(rows) == sum((y + 0.16) ** 2 + (x + 0.16) ** 2 <= 7.84**2 for y in range(-9, 10) for x in range(-9, 10))
