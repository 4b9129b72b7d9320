"""What the samples of each task hold: the right objects, prepared the same way in picture, mask, box and sentence."""

from __future__ import annotations

import logging
import os
import signal
from unittest import mock

import numpy as np
import pytest
import torch

from data_support import batches, collator, dataset, open_world, run_config, same_batches, sample_ids, world_feed

pytest.importorskip("datasets")
pytest.importorskip("kornia")

from transformers_uniref.datasets.mirrored_sentences import mirrored_sentence  # noqa: E402
from transformers_uniref.datasets.schema import Record, features, make_instance, make_row  # noqa: E402
from transformers_uniref.training.config.data import CropConfig, DatasetConfig, PseudoVideoConfig  # noqa: E402
from transformers_uniref.training.data import mixture_feed  # noqa: E402
from transformers_uniref.training.data.bad_samples import BadSampleError  # noqa: E402
from transformers_uniref.training.data.episodes import CategoryIndex  # noqa: E402
from transformers_uniref.training.data.kornia_augmentation import change_colours  # noqa: E402
from transformers_uniref.training.data.mixture_feed import MixtureFeed  # noqa: E402
from transformers_uniref.training.data.sample_makers import BatchKind, SampleSpec, make_sample  # noqa: E402


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return open_world(tmp_path_factory.mktemp("world"))


def config(task, **options):
    source = "world:clips" if task in ("vos", "rvos") and "pseudo_video" not in options else "world:stills"
    defaults = {"short_sides": [64], "longest_side": 256, "flip": 0.0}
    return DatasetConfig("test", task, source, samples=1, **(defaults | options))


def record_of(rows, index=0):
    return Record(rows.with_format("arrow")[index].to_pylist()[0], f"test:{index}")


def sample_of(record, settings, seed=0, kind=None, **more):
    return make_sample(SampleSpec(settings, record, kind or BatchKind(), np.random.default_rng(seed), **more))


def square(left, top, right, bottom, size=(60, 90)):
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def drawn_record(masks=None, boxes=None, sentences=(), frames=1, size=(60, 90)):
    """A record of one red object on grey."""
    pictures = [np.full((*size, 3), 100, dtype=np.uint8) for _ in range(frames)]
    for frame, mask in (masks or {}).items():
        pictures[frame][mask] = (250, 0, 0)
    instance = make_instance(1, masks, boxes, category="square", category_id=3)
    row = make_row("x", pictures, [instance], sentences, source="test", split="train")
    return Record(row, "test:0")


def red(image):
    return (image[..., 0] > 175) & (image[..., 1] < 50)


# Sentences


@pytest.mark.parametrize(
    ("given", "mirrored"),
    [
        ("the man on the left", "the man on the right"),
        ("Left of the RIGHT door", "Right of the LEFT door"),
        ("leftmost, right-hand, lefthand and rightward", "rightmost, left-hand, righthand and leftward"),
        ("a bright leftover, upright, alright", "a bright leftover, upright, alright"),
    ],
)
def test_left_and_right_change_places_word_by_word(given, mirrored):
    assert mirrored_sentence(given) == mirrored
    assert mirrored_sentence(mirrored) == given


def test_a_flip_mirrors_picture_mask_and_sentence_together(world):
    record = record_of(world["stills"], 1)
    plain, flipped = (sample_of(record, config("ris", flip=flip, questions=3)) for flip in (0.0, 1.0))
    assert np.array_equal(flipped.image, plain.image[:, ::-1])
    for one, other in zip(plain.entries, flipped.entries, strict=True):
        assert np.array_equal(other.target, one.target[:, ::-1])
        assert other.sentence == mirrored_sentence(one.sentence)


SIDES = [("the square on the left", [1]), ("a leftmost cup", [])]


@pytest.mark.parametrize("pseudo", [False, True])
def test_a_flip_mirrors_a_clip_and_its_sentence_together(pseudo):
    masks = {frame: square(10, 20, 30, 40) for frame in range(1 if pseudo else 3)}
    record = drawn_record(masks, sentences=SIDES, frames=len(masks))
    still = PseudoVideoConfig(enabled=pseudo, rotation=0.0, shift=0.0, scale=[1.0, 1.0])
    for flip, wanted in ((0.0, "the square on the left"), (1.0, "the square on the right")):
        settings = config("rvos", flip=flip, short_sides=[60], **({"pseudo_video": still} if pseudo else {}))
        (entry,) = sample_of(record, settings).entries
        assert entry.sentence == wanted
        for mask in (entry.target, entry.reference_masks[0]):
            columns = np.flatnonzero(mask.any(0))
            assert (columns.mean() > mask.shape[1] / 2) == (flip == 1)


def test_a_flip_mirrors_the_sentence_that_is_true_of_nothing_in_a_clip():
    record = drawn_record({frame: square(10, 20, 30, 40) for frame in range(3)}, sentences=SIDES, frames=3)
    for flip, wanted in ((0.0, "a leftmost cup"), (1.0, "a rightmost cup")):
        settings = config("rvos", flip=flip, negative_share=1.0)
        asked = sample_of(record, settings, kind=BatchKind(with_mask=False)).entries
        assert [entry.sentence for entry in asked if not entry.target.any()] == [wanted]


# Geometry


@pytest.mark.parametrize("task", ["detection", "ris"])
@pytest.mark.parametrize("seed", range(4))
def test_masks_and_boxes_follow_the_picture_through_crop_resize_and_flip(task, seed):
    mask = square(20, 12, 61, 40)
    crop = CropConfig(probability=1.0, short_sides=[50, 80], least=40, most=70)
    settings = config(task, short_sides=[48, 100], crop=crop, flip=0.5)
    sample = sample_of(drawn_record({0: mask}, sentences=[("the square", [1])]), settings, seed)
    (entry,) = sample.entries
    seen = red(sample.image)
    assert (entry.target & seen).sum() / (entry.target | seen).sum() > 0.9
    label = collator()([sample]).inputs["labels"][0]
    rows, columns = np.flatnonzero(entry.target.any(1)), np.flatnonzero(entry.target.any(0))
    height, width = entry.target.shape
    corners = [columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height]
    cx, cy, w, h = label["boxes"][0].tolist()
    assert np.allclose([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], corners, atol=1e-5)
    assert label["original_size"].tolist() == [60, 90]


@pytest.mark.parametrize("seed", range(4))
def test_boxes_without_masks_are_moved_by_their_corners(seed):
    mask = square(20, 12, 61, 40)
    crop = CropConfig(probability=1.0, short_sides=[50, 80], least=40, most=70)
    settings = config("detection", short_sides=[48, 100], crop=crop, flip=0.5, labels="category")
    with_mask = sample_of(drawn_record({0: mask}), settings, seed).entries[0].targets
    sample = sample_of(drawn_record(boxes={0: [20, 12, 61, 40]}), settings, seed)
    box_only = sample.entries[0].targets
    assert box_only.masks is None and with_mask.masks is not None
    assert np.allclose(box_only.boxes, with_mask.boxes, atol=1.5 / 48)
    assert box_only.class_labels.tolist() == [3]
    assert set(collator()([sample]).inputs["labels"][0]) == {"boxes", "class_labels", "original_size"}


def test_no_crop_cuts_the_target_away():
    crop = CropConfig(probability=1.0, short_sides=[60], least=10, most=12)
    record = drawn_record({0: square(80, 50, 86, 56)}, sentences=[("the square", [1])])
    for seed in range(10):
        assert sample_of(record, config("ris", crop=crop), seed).entries[0].target.any()


def test_the_long_side_is_bounded():
    settings = config("detection", short_sides=[80], longest_side=96)
    sample = sample_of(drawn_record({0: square(20, 12, 61, 40)}), settings)
    assert sample.image.shape == (64, 96, 3)


def test_colours_change_in_all_frames_alike_and_follow_from_the_seed():
    from transformers_uniref.training.data.geometry import Picture

    grey = Picture(np.full((8, 8, 3), 120, dtype=np.uint8), np.zeros((1, 8, 8), dtype=bool), np.zeros((0, 4)))
    before = torch.random.get_rng_state()
    first, second = change_colours([grey, grey], 0.5, np.random.default_rng(1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert np.array_equal(first.image, second.image) and not np.array_equal(first.image, grey.image)
    again = change_colours([grey], 0.5, np.random.default_rng(1))[0]
    assert np.array_equal(again.image, first.image)
    assert change_colours([grey], 0.0, np.random.default_rng(1))[0] is grey


# Tasks


def test_detection_has_every_object_with_its_category(world):
    for index in range(4):
        record = record_of(world["stills"], index)
        (entry,) = sample_of(record, config("detection", labels="category")).entries
        objects = list(record.instances.values())
        assert entry.targets.class_labels.tolist() == [instance.category_id for instance in objects]
        assert np.array_equal(entry.targets.masks, np.stack([i.mask(0, (64, 64)) for i in objects]))
        agnostic = sample_of(record, config("detection")).entries[0].targets
        assert not agnostic.class_labels.any()


def test_a_sentence_comes_with_the_objects_that_it_means(world):
    record = record_of(world["stills"], 2)
    meant = {sentence.text: sentence.object_ids for sentence in record.sentences}
    sample = sample_of(record, config("ris", questions=5, negative_share=1.0))
    assert len(sample.entries) > 2
    for entry in sample.entries:
        assert np.array_equal(entry.target, record.union(meant[entry.sentence], 0, (64, 64)))
        assert not (entry.target & entry.others.any(0)).any()
    assert [entry.target.any() for entry in sample.entries].count(False) == 1
    labels = collator()([sample]).inputs["labels"]
    assert [len(label["boxes"]) for label in labels] == [int(entry.target.any()) for entry in sample.entries]


def test_a_sentence_about_several_objects_asks_for_their_union():
    masks = [square(5, 5, 15, 15), square(50, 30, 70, 50)]
    instances = [make_instance(number, {0: mask}) for number, mask in enumerate(masks, 1)]
    row = make_row("x", [np.zeros((60, 90, 3), np.uint8)], instances, [("both", [2, 1])], source="t", split="train")
    (entry,) = sample_of(Record(row), config("ris", short_sides=[60])).entries
    assert np.array_equal(entry.target, masks[0] | masks[1]) and entry.targets is None


def test_grefcoco_asks_for_none_one_or_each_of_many(tmp_path):
    from converter_support import convert, refer, reference

    said = {"both dogs": [71, 72], "left dog": [71], "the cat": [-1]}
    references = [reference(n, 7, ids, "train", text) for n, (text, ids) in enumerate(said.items())]
    references.append(reference(9, 8, [81], "val", "the dog"))
    source = refer(tmp_path / "refer", references, "grefcoco", "grefs(unc).json")
    convert("grefcoco", source, tmp_path / "built", "train")
    options = {"source": str(tmp_path / "built"), "task": "ris", "questions": 5, "negative_share": 1.0}
    section = {"name": "grefcoco", "short_sides": [64], "batch_size": 2, **options}
    found = {}
    for single in (False, True):
        settings = run_config(section | {"single_targets": single}, **{"mixture.held_out_sets": "[grefcoco]"})
        (batch,) = batches(MixtureFeed(settings), 0, 1)[0]
        masks = [label["masks"].bool() for label in batch.inputs["labels"]]
        found[single] = sorted(len(of) for of in masks)
        # Rows of the batch show one picture; "both dogs" asks for the pixels of "left dog" and more.
        assert all(bool((of.any(0) == target.bool()).all()) for of, target in zip(masks, batch.targets, strict=True))
    assert found == {False: [0, 0, 1, 1, 1, 1], True: [0, 0, 1, 1, 2, 2]}


def test_a_crop_keeps_every_object_of_a_sentence_that_asks_for_each():
    masks = [square(2, 2, 8, 8), square(80, 50, 88, 58)]
    instances = [make_instance(number, {0: mask}) for number, mask in enumerate(masks, 1)]
    row = make_row("x", [np.zeros((60, 90, 3), np.uint8)], instances, [("two squares", [1, 2])], source="t", split="t")
    crop = CropConfig(probability=1.0, short_sides=[60], least=30, most=50)
    lost = 0
    for seed in range(8):
        one, each = (
            sample_of(Record(row), config("ris", short_sides=[60], crop=crop, single_targets=single), seed)
            for single in (False, True)
        )
        targets = each.entries[0].targets
        assert len(targets.masks) == len(targets.boxes) == 2
        lost += one.image.shape != each.image.shape
    assert lost


@pytest.mark.parametrize("shots", [1, 3])
def test_few_shot_examples_are_other_images_of_the_category(world, shots):
    records = [record_of(world["stills"], index) for index in range(12)]
    index = CategoryIndex([CategoryIndex.categories_of(record) for record in records])
    read = []
    for row in range(6):
        if not index.with_examples(row):
            continue

        def remember(number):
            read.append(number)
            return records[number]

        more = {"row": row, "read": remember, "categories": index, "kind": BatchKind(shots=shots)}
        read.clear()
        (entry,) = sample_of(records[row], config("fss"), seed=row, **more).entries
        assert len(entry.reference_masks) == shots and row not in read
        categories = set(CategoryIndex.categories_of(records[row]))
        for number in read:
            categories &= set(CategoryIndex.categories_of(records[number]))
        assert any(
            np.array_equal(
                entry.target,
                records[row].union([i.object_id for i in records[row].shown(0) if i.category == name], 0, (64, 64)),
            )
            for name in categories
        )
        (negative,) = sample_of(records[row], config("fss", negative_share=1.0), seed=row, **more).entries
        assert not negative.target.any() and all(mask.any() for mask in negative.reference_masks)


def test_examples_of_several_sizes_are_padded_to_one_batch():
    first, second = np.ones((40, 64), dtype=bool), np.ones((64, 48), dtype=bool)
    from transformers_uniref.training.data.samples import Entry, Sample

    image = np.zeros((32, 32, 3), dtype=np.uint8)
    pictures = [np.full((*mask.shape, 3), 9, dtype=np.uint8) for mask in (first, second)]
    entry = Entry("fss", image[..., 0] > 0, np.zeros((0, 32, 32), bool), None, pictures, [first, second])
    inputs = collator()([Sample(image, [entry])]).inputs
    assert inputs["reference_pixel_values"].shape == (1, 2, 3, 64, 64)
    assert inputs["reference_masks"].flatten(2).sum(-1).tolist() == [[40 * 64, 64 * 48]]


def test_a_category_is_bounded():
    index = CategoryIndex([["cat"]] * 50 + [["cat", "dog"]], rows_per_category=10)
    rng = np.random.default_rng(0)
    assert len({index.examples("cat", 3, 1, rng)[0] for _ in range(200)}) <= 10
    assert index.with_examples(50) == ["cat"] and index.absent(0, rng) == "dog" and index.absent(50, rng) is None


def frame_record(shown, count=30):
    """An object whose column tells the frame."""
    masks = {t: square(t, 10, t + 1, 30, (32, 64)) for t in shown}
    return drawn_record(masks, sentences=[("the line", [1])], frames=count, size=(32, 64))


@pytest.mark.parametrize("task", ["vos", "rvos"])
def test_frame_pairs_are_sorted_near_and_show_the_object(task):
    record = frame_record([0, 3, 20, 24, 29])
    settings = config(task, short_sides=[32], frame_gap=4)
    found = set()
    for seed in range(30):
        (entry,) = sample_of(record, settings, seed).entries
        reference, target = (int(mask.any(0).argmax()) for mask in (entry.reference_masks[0], entry.target))
        found.add((reference, target))
        assert (entry.sentence is not None) == (task == "rvos")
    assert found == {(0, 3), (20, 24)}


def test_without_reference_first_both_orders_come():
    settings = config("vos", short_sides=[32], frame_gap=4, reference_first=False)
    entries = [sample_of(frame_record([0, 3]), settings, seed).entries[0] for seed in range(20)]
    assert {bool(entry.target[:, 0].any()) for entry in entries} == {True, False}


def test_an_object_may_be_gone_in_the_target():
    record = frame_record([0, 3, 20], count=30)
    (entry,) = sample_of(record, config("vos", short_sides=[32], negative_share=1.0)).entries
    assert entry.reference_masks.any() and not entry.target.any()
    assert len(collator()([sample_of(record, config("vos", negative_share=1.0))]).inputs["labels"][0]["boxes"]) == 0


def test_only_the_frames_of_the_pair_are_decoded():
    record = frame_record(range(30))
    with mock.patch.object(Record, "image", autospec=True, side_effect=Record.image) as decoded:
        sample_of(record, config("vos", short_sides=[32]))
        assert decoded.call_count == 2
        decoded.reset_mock()
        sample = sample_of(record, config("rvos", short_sides=[32]), kind=BatchKind(with_mask=False))
        assert decoded.call_count == 1
    assert sample.entries[0].reference_masks is None and sample.entries[0].sentence == "the line"


def test_language_only_batches_come_as_often_as_asked():
    rng = np.random.default_rng(0)
    kinds = [mixture_feed.draw_kind(config("rvos"), rng).with_mask for _ in range(2000)]
    assert abs(np.mean(kinds) - 0.6) < 0.04
    assert not mixture_feed.draw_kind(config("rvos", language_only_share=1.0), rng).with_mask
    assert mixture_feed.draw_kind(config("vos", language_only_share=1.0), rng).with_mask


@pytest.mark.parametrize("seed", range(4))
def test_a_pseudo_video_moves_masks_with_their_pictures(seed):
    record = drawn_record({0: square(30, 20, 60, 45)}, sentences=[("the square", [1])])
    settings = config("vos", pseudo_video=PseudoVideoConfig(enabled=True), short_sides=[90], flip=0.5)
    sample = sample_of(record, settings, seed)
    (entry,) = sample.entries
    for image, mask in ((sample.image, entry.target), (entry.reference_images[0], entry.reference_masks[0])):
        seen = red(image)
        assert (mask & seen).sum() / (mask | seen).sum() > 0.85
    assert sample.image.shape != entry.reference_images[0].shape or not np.array_equal(
        sample.image, entry.reference_images[0]
    )


# Bad samples


@pytest.fixture
def damaged(world, tmp_path):
    """Stills of which row 3 is no picture and row 7 a file that is not there."""
    from datasets import Dataset

    rows = world["stills"].with_format("arrow")[:].to_pylist()
    rows[3]["frames"] = [{"bytes": rows[3]["frames"][0]["bytes"][:300], "path": None}]
    rows[7]["frames"] = [{"bytes": None, "path": str(tmp_path / "lost.png")}]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return Dataset.from_dict(columns, features=features())


def damaged_run(budget, **options):
    section = dataset("ref", "ris", batch_size=4)
    return run_config(section, steps=6, **{"mixture.max_bad_samples": budget, **options})


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_samples_are_reported_by_id_and_replaced(damaged, workers, caplog):
    feed = MixtureFeed(damaged_run(2, loader_workers=workers), opened={"ref": damaged})
    with caplog.at_level(logging.WARNING):
        steps = batches(feed)
    assert all(len(batch.sample_ids) == 4 for step in steps for batch in step)
    assert not {"ref:3", "ref:7"} & {name for step in sample_ids(steps) for name in step}
    assert set(feed.state_dict()["bad_samples"]) == {"ref:3", "ref:7"}
    assert "ref:3" in caplog.text and "lost.png" in caplog.text
    resumed = MixtureFeed(damaged_run(2), opened={"ref": damaged})
    resumed.load_state_dict(feed.state_dict())
    assert same_batches(batches(resumed, 4), steps[4:])


def test_one_bad_sample_too_many_ends_the_run(damaged):
    feed = MixtureFeed(damaged_run(1), opened={"ref": damaged})
    with pytest.raises(BadSampleError, match=r"2 bad sample\(s\) so far .*max_bad_samples allows 1"):
        batches(feed)


def test_a_stream_replaces_bad_samples_too(damaged):
    section = dataset("ref", "ris", batch_size=4, streaming=True)
    feed = MixtureFeed(
        run_config(section, steps=3, **{"mixture.max_bad_samples": 2}), opened={"ref": damaged.to_iterable_dataset()}
    )
    steps = batches(feed)
    assert set(feed.bad.found) == {"ref:world-still-train-0-3", "ref:world-still-train-0-7"}
    assert all(len(batch.sample_ids) == 4 for step in steps for batch in step)


def test_what_a_dying_loader_process_was_reading_is_named_and_skipped(world):
    section = dataset("ref", "ris", batch_size=4)
    settings = run_config(section, steps=4, loader_workers=1, **{"mixture.max_bad_samples": 1})

    def deadly(spec):
        if spec.record.sample_id == "ref:5":
            os.kill(os.getpid(), signal.SIGKILL)
        return make_sample(spec)

    feed = world_feed(world, settings)
    with mock.patch.object(mixture_feed, "make_sample", deadly):
        steps = batches(feed)
    assert len(steps) == 4 and "ref:5" not in {name for step in sample_ids(steps) for name in step}
    assert list(feed.bad.found) == ["ref:5"] and "died" in feed.bad.found["ref:5"]


def test_a_stream_goes_on_where_it_stood_when_a_loader_process_dies(world):
    section = dataset("ref", "ris", batch_size=2, streaming=True)
    settings = run_config(section, steps=6, loader_workers=2, **{"mixture.max_bad_samples": 1, "mixture.block": 2})
    name = "ref:" + world["stills"]["sample_id"][5]

    def faulty(how):
        def make(spec):
            if spec.record.sample_id == name:
                how()
            return make_sample(spec)

        return mock.patch.object(mixture_feed, "make_sample", make)

    def broken():
        raise OSError("broken")

    found = []
    for how in (broken, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        with faulty(how):
            feed = world_feed(world, settings)
            found.append(batches(feed))
            assert list(feed.bad.found) == [name]
    assert same_batches(*found)
