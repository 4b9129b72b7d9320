"""The common schema: what is written is read back, lazily, and what breaks it is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("datasets")

from transformers_uniref.core.mask_codes import decode_png, decode_rle, encode_png, encode_rle  # noqa: E402
from transformers_uniref.datasets.schema import Record, check_columns, features, make_instance, make_row  # noqa: E402
from transformers_uniref.worlds.drawn.records import clip_row, still_row, world_dataset, world_stream  # noqa: E402
from transformers_uniref.worlds.drawn.world import World  # noqa: E402

MASKS = hnp.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@settings(deadline=None, max_examples=60)
@given(MASKS)
def test_a_mask_survives_its_codes(mask):
    assert np.array_equal(decode_png(encode_png(mask)), mask)
    assert np.array_equal(decode_rle(encode_rle(mask)), mask)


@settings(deadline=None, max_examples=60)
@given(MASKS, st.integers(1, 300), st.integers(1, 300))
def test_run_lengths_are_byte_for_byte_those_of_pycocotools(mask, high, wide):
    codes = pytest.importorskip("pycocotools.mask")
    for shown in (mask, ~mask, np.kron(mask[:8, :8], np.ones((high, wide), bool))):
        wanted = codes.encode(np.asfortranarray(shown, dtype=np.uint8))
        assert encode_rle(shown) == {"size": wanted["size"], "counts": wanted["counts"].decode("ascii")}
        assert np.array_equal(decode_rle(wanted), shown)


def test_run_lengths_are_those_of_coco():
    # A 3 x 3 square in a 5 x 7 picture as the published tools write it; columns first.
    mask = np.zeros((5, 7), dtype=bool)
    mask[1:4, 2:5] = True
    assert encode_rle(mask) == {"size": [5, 7], "counts": ";320009"}
    plain = {"size": [5, 7], "counts": [11, 3, 2, 3, 2, 3, 11]}
    assert np.array_equal(decode_rle(plain), mask)


@pytest.mark.parametrize(
    "rle",
    [
        {"size": [2, 2], "counts": [1, 2]},
        {"size": [2, 2], "counts": [5, -1]},
        {"size": [2, 2], "counts": [2**64, 4]},
        {"size": [2, 2], "counts": "1"},
        {"size": [2, 2], "counts": ""},
        {"size": [2, 2], "counts": "o"},
        {"size": [2, 2], "counts": "4o"},
        {"size": [2, 2], "counts": "o" * 80 + "0"},
    ],
)
def test_a_broken_run_length_code_is_refused(rle):
    with pytest.raises(ValueError, match="rle"):
        decode_rle(rle)


def test_a_still_scene_is_the_world_s():
    world = World("train", 64)
    scene, record = world.image(3), Record(still_row(world, 3))
    assert np.array_equal(record.image(), scene["image"])
    for mask, instance in zip(scene["masks"], record.instances.values(), strict=True):
        assert np.array_equal(instance.mask(0, (64, 64)), mask)
    meant = {entry.text: entry.object_ids for entry in record.sentences}
    assert all(meant[text] == () for text in scene["absent_sentences"])
    assert all(meant[text] == (n,) for n, group in enumerate(scene["sentences"], 1) for text in group)


def test_a_clip_lists_only_the_frames_in_which_an_object_shows():
    world = World("train", 64)
    scene, record = world.clip(1, 5), Record(clip_row(world, 1, 5))
    assert len(record) == 5
    for number, shown in scene["visible"].items():
        assert record.instances[number].frame_indices == tuple(np.flatnonzero(shown))
        for t in range(5):
            assert np.array_equal(record.instances[number].mask(t, (64, 64)), scene["label_maps"][t] == number)


def test_map_style_and_streamed_rows_are_equal_and_keep_the_schema(tmp_path):
    dataset = world_dataset("stills", "train", 4, size=64, cache_dir=str(tmp_path))
    assert dataset.features == features()
    stored = dataset.with_format("arrow")[:].to_pylist()
    streamed = [table.to_pylist()[0] for table in world_stream("stills", "train", 4, size=64).with_format("arrow")]
    assert sorted(row["sample_id"] for row in stored) == sorted(row["sample_id"] for row in streamed)
    assert stored[0]["instances"] == next(r for r in streamed if r["sample_id"] == stored[0]["sample_id"])["instances"]


def test_pictures_are_decoded_only_when_asked_for(tmp_path):
    broken = {"bytes": b"no picture", "path": None}
    missing = {"bytes": None, "path": str(tmp_path / "missing.png")}
    box = make_instance(1, boxes={0: [0, 0, 4, 4]})
    row = make_row("x", [broken, missing], [box], source="test", split="train", size=(8, 8))
    record = Record(row)
    assert record.instances[1].box(0) == (0, 0, 4, 4)
    for frame in (0, 1):
        with pytest.raises(OSError):
            record.image(frame)


def test_missing_columns_are_named_with_those_that_are_there():
    with pytest.raises(ValueError, match="dataset 'mine' lacks the column sentences that the task ris needs; it has"):
        check_columns(["frames", "instances"], "ris", "mine")
    check_columns(["frames", "instances"], "detection", "mine")


IMAGE = np.zeros((8, 8, 3), dtype=np.uint8)
DOT = make_instance(1, {0: np.eye(8, dtype=bool)}, code="rle")


@pytest.mark.parametrize(
    ("instances", "sentences", "named"),
    [
        ([DOT, DOT], [], "unique"),
        ([DOT], [("the dot", [2])], r"unknown objects \[2\]"),
        ([DOT | {"frame_indices": [1]}], [], "frame_indices"),
        ([DOT | {"boxes": []}], [], "0 boxes for 1 frames"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(instances, sentences, named):
    with pytest.raises(ValueError, match=named):
        make_row("x", [IMAGE], instances, sentences, source="test", split="train")


def test_a_mask_of_another_size_names_its_object():
    row = make_row("x", [IMAGE], [DOT], source="test", split="train")
    with pytest.raises(ValueError, match="object 1: mask of"):
        Record(row).instances[1].mask(0, (9, 8))
