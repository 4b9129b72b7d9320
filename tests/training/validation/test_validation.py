"""The validation of a run: drawings, photographs that it holds out, and datasets of one's own, each under its name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate")
pytest.importorskip("datasets")

from data_support import dataset, open_world, run_config  # noqa: E402
from photo_support import write_folder  # noqa: E402
from training_support import VERY_TINY, very_tiny  # noqa: E402
from transformers_uniref.training.config.data import DatasetConfig  # noqa: E402
from transformers_uniref.training.config.training import load_config  # noqa: E402
from transformers_uniref.training.loop import TrainingRun  # noqa: E402
from transformers_uniref.training.step.measures import box_recall  # noqa: E402
from transformers_uniref.training.validation.datasets import clip_of  # noqa: E402
from transformers_uniref.training.validation.validation import validation_parts  # noqa: E402

MODEL = tuple(option for option in VERY_TINY if option.startswith(("model", "text", "backbone")))


pytestmark = pytest.mark.usefixtures("kept_threads")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Stills and clips of the world as folders, and the open datasets."""
    folder = tmp_path_factory.mktemp("saved")
    world = open_world(folder / "cache")
    for kind, rows in world.items():
        rows.save_to_disk(str(folder / kind))
    return folder


def records(output, kind):
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def of_folder(saved, name, task, kind="stills", **options):
    return {"name": name, "task": task, "source": str(saved / kind), "batch_size": 4, "short_sides": [64]} | options


# Photographs


def with_photographs(folder, *overrides):
    return very_tiny(
        "steps=2",
        "validation.every=2",
        "sampling.photo_share=0.5",
        f"sampling.photo_folder={folder}",
        *overrides,
    )


def test_held_out_photographs_are_measured_beside_the_drawn_world(photographs, tmp_path):
    run = TrainingRun(with_photographs(photographs, "checkpoint.best=photo/ris/iou"), tmp_path)
    assert run.run()
    (values,) = records(tmp_path, "validation")
    assert {"ris/iou", "fss/iou", "photo/ris/iou", "photo/fss/iou", "photo/vos/propagated"} <= set(values)
    assert run.best["measure"] == "photo/ris/iou" and (tmp_path / "best").is_dir()


def test_a_run_chooses_the_photographs_that_it_never_learns_from(photographs, tmp_path):
    config = with_photographs(photographs, "sampling.photo_validation=[leaf, pond]")
    run = TrainingRun(config, tmp_path)
    _, part = run.validation.parts
    assert part.summary == "photographs of leaf, pond (4 images, 2 few-shot scenes, 1 clips)"
    assert run.feed.source.world(64, photographed=True).sequences == ("apple", "cherry")
    assert set(run.feed.vocabulary()) >= {"pond", "cherry"}
    for batch in part.batches():
        assert all(name.startswith("photoworld-") for name in batch.sample_ids)


def test_the_drawn_world_is_measured_as_without_photographs(photographs):
    from transformers_uniref.training.data.collation import Collator
    from transformers_uniref.training.model.tokenizer import build_tokenizer

    collator = Collator(build_tokenizer(["star"], 24), 24)
    both, alone = (
        validation_parts(config.validation, config.sampling, config.seed, True, collator)[0]
        for config in (with_photographs(photographs), very_tiny("validation.every=2"))
    )
    for one, other in zip(both.batches(), alone.batches(), strict=True):
        assert torch.equal(one.inputs["pixel_values"], other.inputs["pixel_values"])
        assert one.sample_ids == other.sample_ids and one.sample_ids[0].startswith("world-")


def test_a_held_out_sequence_that_is_not_there_is_named(photographs, tmp_path):
    with pytest.raises(ValueError, match=r"sampling.photo_validation: there is no sequence 'sea'; the folder holds"):
        TrainingRun(with_photographs(photographs, "sampling.photo_validation=[sea]"), tmp_path)


def test_a_folder_of_one_sequence_is_learnt_and_not_measured(photographs, tmp_path):
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "apple").symlink_to(photographs / "apple")
    (tmp_path / "photographs" / "names.json").write_text('{"apple": "apple"}')
    run = TrainingRun(with_photographs(tmp_path / "photographs"), tmp_path / "run")
    assert [part.prefix for part in run.validation.parts] == [""]


# Datasets


def dataset_run(saved, *validation, **options):
    """A run over saved stills that is validated on `validation`."""
    options = {"validation.every": 2, "steps": 2, "validation.rows": 5, "validation.clips": 2} | options
    shown = [f"{name}={value}" for name, value in options.items()]
    learnt = [of_folder(saved, "learnt", "ris")]
    config = [f"datasets={json.dumps(learnt)}", f"validation.datasets={json.dumps(validation)}", "micro_batches=[]"]
    return load_config("world-smoke", [*MODEL, *config, *shown])


def test_a_run_over_datasets_is_measured_on_datasets_and_keeps_its_best(saved, tmp_path):
    asked = [of_folder(saved, "held-out", "ris", questions=2), of_folder(saved, "clips", "rvos", "clips")]
    asked += [of_folder(saved, "few", "fss"), of_folder(saved, "vid", "vos", "clips")]
    config = dataset_run(saved, *asked, **{"checkpoint.best": "held-out/ris/iou", "steps": 4})
    run = TrainingRun(config, tmp_path)
    assert run.run()
    first, last = records(tmp_path, "validation")
    assert (first["step"], last["step"]) == (2, 4)
    names = {"held-out/ris/iou", "held-out/swap", "clips/rvos/iou", "clips/rvos/propagated", "few/fss/iou"}
    assert names | {"vid/vos/iou", "vid/vos/propagated"} <= set(first)
    assert not any(name.startswith(("ris/", "vos/", "photo/")) for name in first), "the drawn world is not measured"
    best = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert best["measure"] == "held-out/ris/iou"
    assert best["value"] == pytest.approx(max(first["held-out/ris/iou"], last["held-out/ris/iou"]), abs=1e-4)
    assert (tmp_path / "best" / "model.safetensors").is_file()


def test_the_same_rows_are_asked_the_same_things_every_time(saved, tmp_path):
    options = {"flip": 1.0, "colour": 0.5, "short_sides": [48, 64, 96], "crop": {"probability": 1.0}}
    run = TrainingRun(dataset_run(saved, of_folder(saved, "held-out", "ris", **options)), tmp_path)
    (part,) = run.validation.parts
    first, second = list(part.batches()), list(part.batches())
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.inputs["pixel_values"], other.inputs["pixel_values"])
        assert torch.equal(one.inputs["input_ids"], other.inputs["input_ids"])
    ids = [name for batch in first for name in batch.sample_ids]
    assert ids == [f"held-out:{row}" for row in (0, 3, 6, 8, 11)], "five rows, spread over twelve"
    row = np.asarray(part.source.record(0).image(0))
    pixels = first[0].inputs["pixel_values"][0].permute(1, 2, 0).numpy() * 58 + 118
    assert np.abs(pixels[:64, :64] - row).mean() < 8, "neither mirrored nor cut nor in other colours"


def test_detection_is_measured_by_the_boxes_that_are_found(saved, tmp_path):
    run = TrainingRun(dataset_run(saved, of_folder(saved, "boxes", "detection")), tmp_path)
    values = run.validate()
    assert 0 <= values["boxes/detection/recall"] <= 1


def test_recall_counts_boxes_of_the_right_class_alone():
    boxes = torch.tensor([[0.25, 0.25, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0]])
    label = {"boxes": boxes[:2] + 0.01, "class_labels": torch.tensor([0, 1])}
    logits = torch.zeros(3, 2)
    assert box_recall(logits, boxes, label) == 1.0
    assert box_recall(logits, boxes[[0, 2, 2]], label) == 0.5
    assert box_recall(torch.zeros(3, 1), boxes, label) == 0.5
    assert box_recall(logits, boxes, {"boxes": boxes[:0], "class_labels": torch.zeros(0)}) == 1.0


def test_rows_that_cannot_be_read_are_left_out_and_named(saved, tmp_path, caplog):
    from datasets import Image, List, load_from_disk

    rows = load_from_disk(str(saved / "stills")).cast_column("frames", List(Image(decode=False)))
    broken = rows.map(
        lambda row, index: {"frames": [{"bytes": b"no", "path": None}]} if index == 3 else row, with_indices=True
    )
    broken.save_to_disk(str(tmp_path / "broken"))
    section = of_folder(saved, "held-out", "ris") | {"source": str(tmp_path / "broken")}
    run = TrainingRun(dataset_run(saved, section, **{"validation.rows": 0}), tmp_path / "run")
    run.validate()
    values = run.validate()
    assert 0 <= values["held-out/ris/iou"] <= 1
    assert [record.message for record in caplog.records if "held-out:3" in record.message][1:] == []
    assert "validation leaves out held-out:3: UnidentifiedImageError" in caplog.text


def test_clips_begin_where_an_object_shows_and_hold_annotated_frames_alone(saved):
    from datasets import load_from_disk

    from transformers_uniref.datasets.schema import Record

    rows = load_from_disk(str(saved / "clips")).with_format("arrow")
    row = rows[0].to_pylist()[0]
    config = DatasetConfig("vid", "vos", "x", short_sides=[32])
    whole = clip_of(Record(row), config)
    assert whole.frames.shape == (8, 32, 32, 3) and whole.label_maps.shape == (8, 32, 32)
    assert {int(v) for v in np.unique(whole.label_maps)} - {0} <= {item["object_id"] for item in row["instances"]}
    row["annotated"] = [False, True, False, True, True, False, False, False]
    assert len(clip_of(Record(row), config).frames) == 3
    row["annotated"] = [True] + [False] * 7
    assert clip_of(Record(row), config) is None


def test_a_run_without_validation_opens_no_dataset_for_it(saved, tmp_path):
    section = of_folder(saved, "held-out", "ris") | {"source": "/not/there"}
    assert TrainingRun(dataset_run(saved, section, **{"validation.every": 0}), tmp_path).validation.parts == []
    with pytest.raises(ValueError, match=r"\(held-out\).source: '/not/there' cannot be opened"):
        TrainingRun(dataset_run(saved, section), tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "photo"}, r"validation.datasets\[0\].name: got 'photo'"),
        ({"streaming": True}, r"validation.datasets\[0\].streaming"),
        ({"task": "chess"}, r"validation.datasets\[0\].task"),
    ],
)
def test_wrong_options_of_the_validation_are_named(saved, change, named):
    with pytest.raises(ValueError, match=named):
        dataset_run(saved, of_folder(saved, "held-out", "ris") | change)
    with pytest.raises(ValueError, match=r"validation.rows: got -1"):
        dataset_run(saved, **{"validation.rows": -1})


def test_a_recipe_may_leave_the_validation_data_to_its_user(saved):
    section = of_folder(saved, "held-out", "ris") | {"source": ""}
    assert "validation.datasets.0.source (held-out)" in dataset_run(saved, section).unset_options()[0]
    assert dataset_run(saved, section, **{"validation.every": 0}).unset_options() == []


def test_the_drawn_world_is_measured_where_no_dataset_is_named():
    config = run_config(dataset("learnt", "ris"), **{"validation.every": 1})
    assert [part.prefix for part in validation_parts(config.validation, config.sampling, 0, False, None)] == [""]
