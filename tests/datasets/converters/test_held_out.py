"""No mixture trains on pictures that RefCOCO, RefCOCO+ or RefCOCOg test on."""

from __future__ import annotations

from pathlib import Path

import pytest

for package in ("datasets", "accelerate", "pycocotools", "ijson"):
    pytest.importorskip(package)

from converter_support import UNC, annotation, coco_file, convert, jpeg, polygon, put, refer, reference  # noqa: E402
from data_support import collator, run_config  # noqa: E402
from transformers_uniref.datasets.converters.held_out import read_held_out  # noqa: E402
from transformers_uniref.datasets.schema import Record  # noqa: E402
from transformers_uniref.training.data.mixture_feed import MixtureFeed  # noqa: E402

REFERRING_SETS = ("refcoco", "refcoco+", "refcocog")
TRAINED, TESTED = ["coco:6", "coco:7"], ["coco:8", "coco:9"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """COCO with pictures 6 to 9; RefCOCO tests on 8 and 9, the others' lists add nothing but 9."""
    root = tmp_path_factory.mktemp("built")
    names = {number: f"{number:012d}.jpg" for number in (6, 7, 8, 9)}
    dogs = [annotation(n, n, [polygon(1, 1, 6)], [1, 1, 6, 6]) for n in names]
    files: dict = {f"train2017/{name}": jpeg() for name in names.values()}
    files |= {"annotations/instances_train2017.json": coco_file(names, dogs)}
    convert("coco-2017", put(root / "sources/coco", files), root / "coco", "train")
    convert("refcoco", refer(root / "sources/refcoco", UNC), root / "refcoco")
    # RefCOCO+ trains on picture 8, which RefCOCO tests on.
    plus = [
        reference(0, 7, 71, "train", "left"),
        reference(1, 8, 81, "train", "big"),
        reference(2, 9, 91, "val", "dog"),
    ]
    convert("refcoco+", refer(root / "sources/plus", plus, "refcoco+"), root / "refcoco+", "train")
    umd = [reference(0, 7, 71, "train", "left"), reference(1, 9, 91, "test", "dog")]
    convert("refcocog", refer(root / "sources/umd", umd, "refcocog", "refs(umd).p"), root / "refcocog", "train")
    return root


def _section(name: str, task: str, source: Path, **options) -> dict:
    return {"name": name, "task": task, "source": str(source), "short_sides": [32], "flip": 0.0, **options}


def _images(feed: MixtureFeed) -> dict[str, list[str]]:
    """The pictures that each indexed dataset of a feed may show."""
    return {
        entry.config.name: sorted({Record(entry.row(int(row))).image_id for row in entry.usable})
        for entry in feed._preparation.indexed.values()
    }


def test_a_converter_lists_the_pictures_that_are_tested_on(built):
    lists = read_held_out([built / name for name in REFERRING_SETS])
    assert lists == {"refcoco": frozenset(TESTED), "refcoco+": frozenset(["coco:9"]), "refcocog": frozenset(["coco:9"])}


def test_a_mixture_never_shows_a_picture_that_any_of_the_three_tests_on(built):
    sections = [_section("coco", "detection", built / "coco")]
    sections += [_section(name, "ris", built / name) for name in REFERRING_SETS]
    feed = MixtureFeed(run_config(*sections))
    assert _images(feed) == {"coco": TRAINED, "refcoco": ["coco:7"], "refcoco+": ["coco:7"], "refcocog": ["coco:7"]}
    # Neither does what comes out of it, whatever is drawn.
    shown = {
        feed._preparation.indexed[int(["coco", *REFERRING_SETS].index(name))].record(int(row)).image_id
        for batches in feed.steps(0, collator())
        for batch in batches
        for name, row in (sample.split(":")[:2] for sample in batch.sample_ids)
    }
    assert shown and shown <= set(TRAINED)


def test_pseudo_videos_and_few_shot_examples_of_coco_are_checked_too(built):
    lists = {"held_out": [str(built / name) for name in REFERRING_SETS]}
    sections = [
        _section("few", "fss", built / "coco"),
        _section("video", "vos", built / "coco", pseudo_video={"enabled": True}),
    ]
    feed = MixtureFeed(run_config(*sections, mixture=lists))
    assert _images(feed) == {"few": TRAINED, "video": TRAINED}
    index = feed._preparation.indexed[0].categories
    assert index is not None and index.examples("dog", 0, 5, __import__("numpy").random.default_rng(0)) == [1] * 5


def test_a_stream_leaves_them_out(built):
    section = _section("coco", "detection", built / "coco", streaming=True, batch_size=2)
    lists = {"held_out": [str(built / name) for name in REFERRING_SETS]}
    feed = MixtureFeed(run_config(section, mixture=lists, steps=4))
    samples = {name for step in feed.steps(0, collator()) for batch in step for name in batch.sample_ids}
    assert {name.split(":")[1] for name in samples} == {"train/6", "train/7"}


def test_pictures_of_coco_are_refused_while_a_list_is_missing(built):
    with pytest.raises(ValueError, match="dataset 'coco' shows pictures of COCO.*refcoco, refcoco.*refcocog.*held_out"):
        MixtureFeed(run_config(_section("coco", "detection", built / "coco")))
    with pytest.raises(ValueError, match=r"those that refcoco\+ test on"):
        lists = {"held_out": [str(built / "refcoco"), str(built / "refcocog")]}
        MixtureFeed(run_config(_section("coco", "detection", built / "coco"), mixture=lists))
    with pytest.raises(ValueError, match="mixture.held_out: .*nowhere is no list"):
        MixtureFeed(run_config(_section("r", "ris", built / "refcoco"), mixture={"held_out": [str(built / "nowhere")]}))


def test_whoever_wants_may_train_on_everything(built):
    feed = MixtureFeed(run_config(_section("coco", "detection", built / "coco"), mixture={"held_out_sets": []}))
    assert _images(feed) == {"coco": TRAINED + TESTED}


def test_a_list_is_also_found_beside_a_pattern_of_files(built):
    sections = [_section(name, "ris", built / name / "data" / "train-*.parquet") for name in REFERRING_SETS]
    assert _images(MixtureFeed(run_config(*sections)))["refcoco+"] == ["coco:7"]
