"""Annotating whole datasets: what is written, exactly once a row, and what is refused."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("datasets")

from annotation_support import (  # noqa: E402
    BrightPixels,
    annotate_rows,
    output_rows,
    picture_folder,
    table,
)
from places import SUPPORT, environment  # noqa: E402
from transformers_uniref.annotation.columns import choose_columns  # noqa: E402
from transformers_uniref.annotation.plan import make_plan, read_manifest  # noqa: E402
from transformers_uniref.annotation.run import annotate  # noqa: E402
from transformers_uniref.annotation.settings import AnnotationSettings  # noqa: E402
from transformers_uniref.annotation.source import from_rows, open_source  # noqa: E402
from transformers_uniref.core.mask_codes import decode_rle  # noqa: E402
from transformers_uniref.core.processes import Processes  # noqa: E402
from transformers_uniref.datasets.schema import Record  # noqa: E402

SETTINGS = AnnotationSettings(text_column="caption", shard_size=4, batch_size=3)
IDS = [f"id-{number}" for number in range(10)]


def pixels_of(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


# ------------------------------------------------------------------------------------------------------ what is written
def test_every_row_has_masks_scores_and_boxes(tmp_path):
    result = annotate_rows(table(10), tmp_path / "out")
    rows = output_rows(tmp_path / "out")
    assert [row["sample_id"] for row in rows] == [row["id"] for row in rows] == IDS
    assert result.counts == {"rows": 10, "sentences": 15, "objects": 10} and result.made == 3
    for number, row in enumerate(rows):
        mask = pixels_of(number)[..., 0] > 128
        [instance] = row["instances"]
        assert np.array_equal(decode_rle(instance["masks"][0]["rle"]), mask)
        first, *second = row["predictions"]
        assert first["text"] == "128" and first["object_id"] == 1 and first["box"] == [0.5, 1.0, 7.5, 9.0]
        assert first["score"] == pytest.approx(mask.mean())
        assert [entry["object_id"] for entry in second] == [0] * (number % 2)
        assert [entry["object_ids"] for entry in row["sentences"]] == [[1], []][: 1 + number % 2]
        assert (row["height"], row["width"]) == (10, 12)


def test_objects_that_one_sentence_means_are_one_sentence(tmp_path):
    class Halves(BrightPixels):
        """Finds the left and the right half of what is bright."""

        def __call__(self, questions):
            left = np.arange(12) < 6
            return [
                [
                    replace(one, mask=one.mask & half)
                    for one in found
                    for half in ([left, ~left] if one.mask.any() else [left])
                ]
                for found in super().__call__(questions)
            ]

    settings = AnnotationSettings(text_column="caption", shard_size=4, targets="all")
    result = annotate(from_rows(table(4), "bright"), Halves(), settings, tmp_path / "out")
    assert result.counts == {"rows": 4, "sentences": 6, "objects": 8}
    for number, row in enumerate(output_rows(tmp_path / "out")):
        assert [entry["object_ids"] for entry in row["sentences"]] == [[1, 2], []][: 1 + number % 2]
        assert [entry["object_id"] for entry in row["predictions"]] == [1, 2, 0][: 2 + number % 2]
    assert "all objects that they mean" in (tmp_path / "out" / "README.md").read_text()


def test_the_output_opens_as_a_dataset_and_with_pictures_it_keeps_to_the_schema(tmp_path):
    from datasets import load_dataset

    annotate_rows(table(6), tmp_path / "out", copy_images=True)
    rows = load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 6
    record = Record(rows[3])
    assert np.array_equal(record.image(), pixels_of(3))
    assert np.array_equal(record.instances[1].mask(0, (10, 12)), pixels_of(3)[..., 0] > 128)
    assert [sentence.object_ids for sentence in record.sentences] == [(1,), ()]


def test_the_card_names_no_path_and_says_that_nobody_checked(tmp_path):
    source = open_source(str(picture_folder(tmp_path / "pictures", 3)))
    annotate(source, BrightPixels(), SETTINGS, tmp_path / "out", model_name="me/model")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "base_model: me/model" in card and "Nobody has checked" in card
    assert str(tmp_path) not in card + (tmp_path / "out" / "annotation.json").read_text()


def test_a_dataset_of_our_own_schema_can_be_annotated_again(tmp_path):
    annotate_rows(table(4), tmp_path / "first", copy_images=True)
    source = open_source(str(tmp_path / "first"))
    settings = AnnotationSettings(text_column="sentences.text", shard_size=4)
    annotate(source, BrightPixels(), settings, tmp_path / "second")
    first, second = output_rows(tmp_path / "first"), output_rows(tmp_path / "second")
    assert [row["predictions"] for row in first] == [row["predictions"] for row in second]


# ----------------------------------------------------------------------------------------------------- where it is from
def test_all_kinds_of_datasets_give_the_same_rows(tmp_path):
    folder = picture_folder(tmp_path / "pictures", 10)
    table(10).save_to_disk(str(tmp_path / "saved"))
    table(10).to_parquet(str(tmp_path / "rows.parquet"), batch_size=3)  # four row groups
    found = {}
    for name, source in {
        "folder": open_source(str(folder)),
        "streamed folder": open_source(str(folder), streaming=True),
        "saved": open_source(str(tmp_path / "saved")),
        "parquet": open_source(str(tmp_path / "rows.parquet")),
        "pattern": open_source(str(tmp_path / "r*.parquet")),
    }.items():
        annotate(source, BrightPixels(), SETTINGS, tmp_path / name)
        rows = output_rows(tmp_path / name)
        found[name] = [(row["sample_id"], row["instances"], row["predictions"]) for row in rows]
    assert [entry[0] for entry in found["saved"]] == IDS
    assert all(rows == found["saved"] for rows in found.values())
    assert read_manifest(tmp_path / "parquet")[0].sizes == (3, 3, 3, 1)


@pytest.mark.parametrize("start, stop", [(0, 10), (2, 3), (2, 7), (3, 6), (9, 10)])
def test_rows_are_read_by_their_numbers_from_any_part(start, stop, tmp_path):
    table(10).to_parquet(str(tmp_path / "rows.parquet"), batch_size=3)
    source = open_source(str(tmp_path / "rows.parquet"))
    assert [row["id"] for row in source.read(start, stop, (3, 3, 3, 1), ["id"])] == IDS[start:stop]


def test_a_stream_is_never_held_in_memory(tmp_path):
    """Rows that were read and not asked about yet, and pictures that were asked about and not let go, are counted."""
    from datasets import Features, IterableDataset, Value
    from datasets import Image as ImageFeature

    pictures = [row["image"] for row in from_rows(table(4), "bright").rows]
    last_read, ahead, alive, most_alive = 0, 0, set(), 0

    def rows(parts):
        nonlocal last_read
        for part in parts:
            for number in range(part * 100, part * 100 + 100):
                last_read = number + 1
                yield {"id": str(number), "image": pictures[number % 4], "caption": "128"}

    class Counting(BrightPixels):
        def __call__(self, questions):
            nonlocal ahead, most_alive
            ahead = max(ahead, last_read - sum(self.asked))
            for pixels, _ in questions:
                alive.add(id(pixels))
                weakref.finalize(pixels, alive.discard, id(pixels))
            most_alive = max(most_alive, len(alive))
            return super().__call__(questions)

    features = Features({"id": Value("string"), "image": ImageFeature(), "caption": Value("string")})
    stream = IterableDataset.from_generator(rows, features=features, gen_kwargs={"parts": [0, 1, 2, 3]})
    annotate_rows(stream, tmp_path / "out", Counting(), shard_size=150, batch_size=5)
    assert [row["id"] for row in output_rows(tmp_path / "out")] == [str(number) for number in range(400)]
    assert 5 <= ahead <= 10 and 5 <= most_alive <= 10


# --------------------------------------------------------------------------------------------------------- exactly once
def test_every_row_is_there_once_after_kills_at_random_moments(tmp_path):
    folder = picture_folder(tmp_path / "pictures", 40)
    annotate(open_source(str(folder)), BrightPixels(), SETTINGS, tmp_path / "whole")
    script = SUPPORT / "annotation_support.py"
    output = tmp_path / "killed"

    def start(seconds: float) -> subprocess.Popen:
        command = [sys.executable, str(script), str(folder), str(output), str(seconds)]
        return subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    draw = random.Random(os.urandom(8))
    for kill in range(3):
        running = start(0.02)
        deadline = time.monotonic() + 120
        while len(list(output.glob("data/train-*"))) < 2 * (kill + 1) and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.05))
        running.send_signal(signal.SIGKILL)
        running.communicate()
    made_before = len(list(output.glob("data/train-*")))
    assert 6 <= made_before < 10
    running = start(0)
    said, errors = running.communicate()
    assert running.returncode == 0, errors[-2000:]
    assert f'"kept": {made_before}' in said
    assert content(output) == content(tmp_path / "whole")
    assert [row["sample_id"] for row in output_rows(output)] == [f"id-{number}" for number in range(40)]


def test_processes_share_the_shards_without_overlap(tmp_path):
    """Two processes whose turns are taken one after the other; real ones are launched in test_annotation_cli."""
    plan = make_plan(from_rows(table(10), "bright"), choose_columns(table(1).features, SETTINGS), SETTINGS, "x")
    shards = list(range(plan.shards))
    parts = [Processes(number, 2).share(shards) for number in range(2)]
    assert sorted(parts[0] + parts[1]) == shards
    assert [plan.bounds(shard) for shard in shards] == [(0, 4), (4, 8), (8, 10)]


def test_finished_work_is_kept_and_nothing_is_asked_again(tmp_path):
    annotate_rows(table(10), tmp_path / "out")
    before = content(tmp_path / "out")
    (tmp_path / "out" / "data" / "train-00001-of-00003.parquet").unlink()
    answering = BrightPixels()
    result = annotate_rows(table(10), tmp_path / "out", answering, batch_size=4)
    assert (result.made, result.kept, answering.asked) == (1, 2, [4])
    assert content(tmp_path / "out") == before
    assert result.counts["rows"] == 10


# ------------------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    "options, named",
    [
        ({"threshold": 0.3}, r"threshold \(none then, 0.3 now\)"),
        ({"shard_size": 5}, r"shard size \(4 then, 5 now\)"),
        ({"copy_images": True}, "pictures copied"),
        ({"targets": "all"}, "targets"),
    ],
)
def test_another_setting_is_named_and_not_mixed_in(options, named, tmp_path):
    annotate_rows(table(6), tmp_path / "out")
    before = content(tmp_path / "out")
    with pytest.raises(ValueError, match=f"`output`: .*other settings: .*{named}"):
        annotate_rows(table(6), tmp_path / "out", **options)
    assert content(tmp_path / "out") == before
    settings = AnnotationSettings(**{"text_column": "caption", "shard_size": 4, **options})
    annotate(from_rows(table(6), "bright"), BrightPixels(), settings, tmp_path / "out", overwrite=True)
    assert [row["sample_id"] for row in output_rows(tmp_path / "out")] == IDS[:6]


def test_other_sentences_are_another_annotation(tmp_path):
    annotate_rows(table(6), tmp_path / "out")
    changed = table(6).map(lambda row: {"caption": ["7"]}, keep_in_memory=True)
    with pytest.raises(ValueError, match="ids and sentences"):
        annotate_rows(changed, tmp_path / "out")


@pytest.mark.parametrize(
    "options, named",
    [
        ({"text_column": "text"}, "`text_column`: got 'text'; accepted: a column of the dataset: id, image, caption"),
        ({"image_column": "photo"}, "`image_column`: got 'photo'"),
        ({"id_column": "key"}, "`id_column`: got 'key'"),
        ({"keep_columns": ("x",)}, "`keep_columns`: got 'x'"),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(options, named, tmp_path):
    with pytest.raises(ValueError, match=named):
        annotate_rows(table(3), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_ids_that_come_twice_are_refused_before_anything_is_asked(tmp_path):
    rows = table(6).map(lambda row: {"id": row["id"].replace("5", "2")}, keep_in_memory=True)
    answering = BrightPixels()
    with pytest.raises(ValueError, match=r"'id-2' in id comes twice, in the rows 2 and 5"):
        annotate_rows(rows, tmp_path / "out", answering)
    assert not answering.asked and not (tmp_path / "out").exists()


def damaged_rows():
    """Ten rows: 1 has no picture, 4 no sentence, 5 an empty one among others, 8 a picture that is cut off."""

    def damage(row, number):
        image = row["image"]
        image = None if number == 1 else {"bytes": image["bytes"][:60], "path": None} if number == 8 else image
        return {"image": image, "caption": {4: [], 5: ["128", " "]}.get(number, row["caption"])}

    return from_rows(table(10), "bright").rows.map(damage, with_indices=True, keep_in_memory=True)


def test_bad_rows_are_skipped_by_their_ids_up_to_a_budget(tmp_path):
    lines = []
    settings = AnnotationSettings(text_column="caption", shard_size=4, batch_size=3, max_bad_samples=4)
    source = from_rows(damaged_rows(), "bright")
    result = annotate(source, BrightPixels(), settings, tmp_path / "out", report=lines.append)
    assert list(result.bad) == ["id-1", "id-4", "id-5", "id-8"]
    assert "no picture" in result.bad["id-1"] and "cannot be read" in result.bad["id-8"]
    assert result.bad["id-5"] == "sentence 2 of 2 in caption is empty"
    assert len(lines) == 4 and lines[0].startswith("sample id-1 is skipped")
    assert [row["sample_id"] for row in output_rows(tmp_path / "out")] == [
        name for name in IDS if name not in result.bad
    ]
    assert "`id-8`" in (tmp_path / "out" / "README.md").read_text()


def test_one_bad_row_too_many_ends_the_work_and_a_larger_budget_goes_on(tmp_path):
    with pytest.raises(ValueError, match="sample id-4 .*2 bad sample.*`max_bad_samples` allows 1"):
        annotate_rows(damaged_rows(), tmp_path / "out", max_bad_samples=1)
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == ["train-00000-of-00003.parquet"]
    result = annotate_rows(damaged_rows(), tmp_path / "out", max_bad_samples=9)
    assert (result.kept, result.made, len(result.bad)) == (1, 2, 4)


@pytest.mark.parametrize(
    "options, named",
    [
        ({"text_column": None}, "say what to look for"),
        ({"threshold": 1.5}, "`threshold` must be between 0 and 1, got 1.5"),
        ({"shard_size": 0}, "`shard_size`: got 0; accepted: 1 or more"),
        ({"reference_images": [np.zeros((4, 4, 3))]}, "must come in pairs, got 1 and 0"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(options, named):
    with pytest.raises(ValueError, match=named):
        AnnotationSettings(**{"text_column": "caption", **options})


def test_what_is_no_dataset_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ValueError, match="`dataset`: .*no such folder"):
        open_source(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="must be Parquet"):
        open_source(str(tmp_path / "notes.txt"))
    table(2).to_parquet(str(tmp_path / "rows.parquet"))
    (tmp_path / "half.parquet").write_bytes((tmp_path / "rows.parquet").read_bytes()[:-20])
    with pytest.raises(ValueError, match="`dataset`: .*half.parquet' cannot be opened"):
        open_source(str(tmp_path / "half.parquet"))
    picture_folder(tmp_path / "split" / "train", 2), picture_folder(tmp_path / "split" / "test", 2)
    with pytest.raises(ValueError, match="`split`: got none; accepted: train, test"):
        open_source(str(tmp_path / "split"))
    with pytest.raises(ValueError, match="`split`: got 'val'; accepted: train, test"):
        open_source(str(tmp_path / "split"), "val")
