"""Clips with what was found in them: overlays, sheets, legends, run lengths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clip_support import grey, moving_square
from transformers_uniref.core.mask_codes import decode_rle
from transformers_uniref.media.clips.rendering import ClipSheet, clip_contact_sheet, render_overlay_clip
from transformers_uniref.media.clips.rle import ClipRleWriter
from transformers_uniref.media.legends import legend_strip, letter_size, tag_objects, with_legend
from transformers_uniref.media.overlays import contact_sheet, object_colour
from transformers_uniref.media.video.io import (
    probe_clip,
    read_clip,
)


def square_labels(count: int, number: int = 3) -> list[np.ndarray]:
    labels = []
    for index in range(count):
        label = np.zeros((48, 64), dtype=np.uint8)
        label[10:26, 4 * index : 4 * index + 16] = number
        labels.append(label)
    return labels


def test_an_overlay_clip_shows_objects_where_they_are(tmp_path: Path) -> None:
    count = render_overlay_clip(
        tmp_path / "overlay.gif", iter(moving_square(4)), iter(square_labels(4)), 10, tags={3: "it"}
    )
    back = list(read_clip(probe_clip(tmp_path / "overlay.gif")))
    assert count == len(back) == 4 and back[-1].time == pytest.approx(0.3)
    for index, frame in enumerate(back):
        near_border = frame.image[25, 4 * index + 8].astype(int)
        assert np.abs(near_border - object_colour(3)).max() < 12
        assert np.abs(frame.image[40, 40].astype(int) - 90).max() < 12
    with pytest.raises(ValueError):
        render_overlay_clip(tmp_path / "short.gif", moving_square(3), square_labels(2))
    assert not (tmp_path / "short.gif").exists()


@pytest.mark.parametrize("count", [1, 5, 12, 13, 49, 200])
def test_a_sheet_shows_evenly_spaced_frames_from_first_to_last(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def remember(images: list[np.ndarray], captions: list[str], **options: object) -> np.ndarray:
        shown.extend(captions)
        return contact_sheet(images, captions, cell=(16, 16))

    monkeypatch.setattr("transformers_uniref.media.clips.rendering.contact_sheet", remember)
    sheet = ClipSheet(12, (16, 16))
    for index in range(count):
        sheet.add(grey(8, 8), str(index))
        assert len(sheet._kept) <= 4 * 12
    sheet.render()
    numbers = [int(caption) for caption in shown]
    assert len(numbers) == min(count, 12) and (numbers[0], numbers[-1]) == (0, count - 1)
    ideal = np.linspace(0, count - 1, len(numbers))
    assert np.abs(np.array(numbers) - ideal).max() <= max(0.5, count / 48 + 0.5)


def test_a_contact_sheet_ends_with_the_legend() -> None:
    bare = clip_contact_sheet(moving_square(5), square_labels(5), num_frames=4, cell=(64, 48))
    named = clip_contact_sheet(
        moving_square(5), square_labels(5), num_frames=4, cell=(64, 48), legend={3: "the red square"}
    )
    assert np.array_equal(named[: bare.shape[0]], bare) and named.shape[0] > bare.shape[0]
    assert (named[bare.shape[0] :] == object_colour(3)).all(-1).any()
    with pytest.raises(ValueError, match="at least one frame"):
        clip_contact_sheet([], [])


def test_a_legend_breaks_lines_and_cuts_what_is_too_wide() -> None:
    entries = {1: "one", 2: "a sentence that is far too long for a narrow strip", 7: "seven"}
    narrow, wide = legend_strip(120, entries), legend_strip(900, entries)
    assert narrow.shape[1] == 120 and narrow.shape[0] > wide.shape[0] > 0
    for number in entries:
        assert (narrow == object_colour(number)).all(-1).any()
    assert legend_strip(50, {}).shape == (0, 50, 3)


LONG = "the person in a white top who is not driving the bus on the left side of the road"


@pytest.mark.parametrize("size", [(48, 64), (640, 360), (480, 640), (1080, 1920), (3000, 4000), (200, 4000)])
def test_the_letters_of_a_legend_grow_with_the_picture(size: tuple[int, int]) -> None:
    image = grey(*size, 90)
    entries = {1: "1: a dog", 2: f"2: {LONG}"}
    framed = with_legend(image, entries)
    assert np.array_equal(framed[: size[0]], image) and framed.shape[1] == size[1]
    strip = framed[size[0] :]
    swatch = (strip == object_colour(1)).all(-1)
    side = int(swatch.any(1).sum())
    assert side == int(swatch.any(0).sum()) == letter_size(*size) + 1
    assert side > 11 and abs(side - 0.03 * min(size)) <= max(12, 2)
    assert strip.shape[0] <= max(size[0], 8 * side)


def test_a_legend_of_many_objects_counts_what_it_has_no_room_for() -> None:
    entries = {number: f"{number}: object {number}" for number in range(1, 200)}
    framed = with_legend(grey(240, 320), entries)
    assert 240 < framed.shape[0] <= 2 * 240
    drawn = [number for number in entries if (framed[240:] == object_colour(number)).all(-1).any()]
    assert drawn[:20] == list(range(1, 21)) and len(drawn) < 199
    assert with_legend(grey(48, 64), {}).shape == (48, 64, 3)
    image = grey(239, 321, 90)
    framed = with_legend(image, entries, keep_proportions=True)
    assert abs(framed.shape[1] / framed.shape[0] - image.shape[1] / image.shape[0]) < 0.01
    assert not any(side % 2 for side in framed.shape[:2])
    left = (framed.shape[1] - image.shape[1]) // 2
    assert np.array_equal(framed[: image.shape[0], left : left + image.shape[1]], image)
    assert with_legend(grey(48, 64), {}, keep_proportions=True).shape == (48, 64, 3)


def test_a_tag_lies_at_its_object_and_inside_the_picture() -> None:
    labels = np.zeros((60, 200), dtype=np.uint8)
    labels[0:20, 190:200] = 2
    tagged = tag_objects(grey(60, 200), labels, {2: "a rather long name", 9: "not there"})
    changed = np.argwhere((tagged != 90).any(-1))
    assert len(changed) and changed[:, 0].max() < 30 and changed[:, 1].max() == 199
    with pytest.raises(ValueError, match="`labels`"):
        tag_objects(grey(4, 4), labels, {})


def test_run_lengths_of_a_clip_give_its_masks_back(tmp_path: Path) -> None:
    late = np.zeros((48, 64), dtype=bool)
    late[3:9, 5:6] = True
    with ClipRleWriter(tmp_path / "rle.json", "a clip", {1: "the square", 4: None}) as writer:
        for index, labels in enumerate(square_labels(3, 1)):
            masks = {1: labels == 1} if index < 2 else {1: labels == 9, 4: late}
            writer.write(f"{index:05d}", masks, dict.fromkeys(masks, 0.5))
        assert [entry.name for entry in tmp_path.iterdir()] == []
    made = json.loads((tmp_path / "rle.json").read_text())
    (video,) = made["videos"]
    assert (video["height"], video["width"], video["length"]) == (48, 64, 3)
    assert video["file_names"] == ["00000", "00001", "00002"]
    first, second = made["annotations"]
    assert {item["id"]: item["name"] for item in made["categories"]} == {1: "the square", 4: "object 4"}
    for index in range(2):
        assert np.array_equal(decode_rle(first["segmentations"][index]), square_labels(3)[index] > 0)
    assert first["segmentations"][2] is None and first["scores"] == [0.5, 0.5, 0.5]
    assert second["segmentations"][:2] == [None, None] and second["scores"] == [None, None, 0.5]
    assert np.array_equal(decode_rle(second["segmentations"][2]), late)
    assert second["bboxes"][2] == [5, 3, 1, 6] and second["areas"] == [None, None, 6]


def test_run_lengths_that_fail_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size of the first"), ClipRleWriter(tmp_path / "rle.json", "", {}) as writer:
        writer.write("0", {1: np.ones((4, 4), dtype=bool)}, {1: 1.0})
        writer.write("1", {1: np.ones((4, 5), dtype=bool)}, {1: 1.0})
    assert not list(tmp_path.iterdir())
