"""The mixture of datasets: what comes when, shared by processes and loader processes, and resumed exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data_support import batches, dataset, open_world, run_config, same_batches, sample_ids, world_feed

pytest.importorskip("datasets")
pytest.importorskip("accelerate")

from transformers_uniref.training.config.data import DatasetConfig  # noqa: E402
from transformers_uniref.training.data.dataset_source import open_dataset  # noqa: E402
from transformers_uniref.training.data.epochs import EpochOrder  # noqa: E402
from transformers_uniref.training.data.mixture_feed import MixtureFeed, Schedule  # noqa: E402


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return open_world(tmp_path_factory.mktemp("world"))


DETECTION = dataset("det", "detection", batch_size=4)
RIS = dataset("ref", "ris", batch_size=4, short_sides=[64, 96], flip=0.5, questions=2)
FSS = dataset("few", "fss", batch_size=4)
VOS = dataset("vid", "vos", "clips", batch_size=4)
STREAM = dataset("stream", "ris", batch_size=2, streaming=True)
FSS_STREAM = dataset("few", "fss", batch_size=2, streaming=True)


# Options


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"task": "chess"}, "datasets\\[0\\].task"),
        ({"weight": 0.0}, "weights sum to zero"),
        ({"weight": -1.0}, "weight: got -1"),
        ({"batch_size": 0}, "batch_size"),
        ({"wieght": 1.0}, "did you mean weight|unknown option"),
        ({"shots": [0.5]}, "shots"),
        ({"flip": 2.0}, "flip"),
        ({"source": "world"}, "source"),
        ({"samples": 0}, "samples"),
        ({"task": "vos"}, "world:clips"),
        ({"pseudo_video": {"enabled": True}}, "pseudo_video"),
        ({"crop": {"least": 5, "most": 4}}, "crop"),
        ({"name": "a:b"}, "colon"),
    ],
)
def test_a_wrong_option_of_a_dataset_is_named(changes, named):
    with pytest.raises((ValueError, TypeError), match=named):
        run_config(DETECTION | changes)


def test_datasets_and_micro_batches_exclude_each_other():
    with pytest.raises(ValueError, match="together with micro_batches"):
        run_config(DETECTION, micro_batches="[{scenes: {ris: 1}}]")


def test_two_datasets_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'det' is used twice"):
        run_config(DETECTION, DETECTION)


def test_a_batch_too_small_for_the_processes_names_its_option(world):
    with pytest.raises(ValueError, match=r"datasets \(det\).batch_size: got 4, too few to share between 3 process"):
        world_feed(world, run_config(DETECTION, accumulation=2), 0, 3)


def test_a_dataset_without_the_column_of_its_task_says_what_it_has(world):
    rows = world["stills"].remove_columns("sentences")
    with pytest.raises(ValueError, match=r"dataset 'ref' lacks the column sentences that the task ris needs; it has "):
        MixtureFeed(run_config(RIS), opened={"ref": rows})


def test_a_dataset_without_a_usable_row_is_refused(world):
    with pytest.raises(ValueError, match="'vid': none of its 6 rows has what the task vos asks for"):
        MixtureFeed(run_config(VOS), opened={"vid": world["stills"]})


def test_a_source_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"datasets \(x\).source: '/not/there' cannot be opened"):
        open_dataset(DatasetConfig("x", "ris", "/not/there"))


@pytest.mark.parametrize("streaming", [False, True])
def test_folders_and_parquet_files_hold_the_same_rows(world, tmp_path, streaming):
    world["stills"].save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "files").mkdir()
    world["stills"].to_parquet(str(tmp_path / "files" / "train-00000.parquet"))
    for source in ("saved", "files", "files/train-00000.parquet", "files/*.parquet"):
        config = DatasetConfig("x", "ris", str(tmp_path / source), streaming=streaming, samples=5)
        rows = list(open_dataset(config).with_format("arrow"))
        assert [row.to_pylist()[0]["sample_id"] for row in rows] == world["stills"]["sample_id"][:5]


# Order


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(1, 8), st.integers(0, 3))
def test_every_epoch_uses_every_row_once_and_never_mixes_groups(groups, batch_size, seed):
    groups = np.array(groups)
    order = EpochOrder(groups, batch_size, (seed,))
    found = [order.batch(number) for number in range(order.batches_before(4))]
    assert [epoch for epoch, _ in found] == sorted(epoch for epoch, _ in found)
    for group in np.unique(groups):
        mine = [rows for _, rows in found if groups[rows[0]] == group]
        assert all((groups[rows] == group).all() for rows in mine)
        stream, size = np.concatenate([*mine, []]), (groups == group).sum()
        for epoch in range(len(stream) // size):
            assert len(set(stream[epoch * size : (epoch + 1) * size])) == size


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5).filter(any), st.integers(1, 3))
def test_datasets_are_drawn_by_weight_and_their_batches_numbered(weights, per_step):
    schedule = Schedule(weights, 600, per_step, seed=1)
    drawn = [pair for step in range(600) for pair in schedule.at(step)]
    for position, weight in enumerate(weights):
        numbers = [number for which, number in drawn if which == position]
        assert numbers == list(range(len(numbers)))
        assert abs(len(numbers) / len(drawn) - weight / sum(weights)) < 0.1
    shorter = Schedule(weights, 300, per_step, seed=1)
    assert all(schedule.at(step) == shorter.at(step) for step in range(300))


def test_an_epoch_over_all_processes_is_the_dataset(world):
    config = run_config(DETECTION, steps=6)
    parts = [sample_ids(batches(world_feed(world, config, rank, 4))) for rank in range(4)]
    for epoch in range(2):
        ids = [name for part in parts for step in part[3 * epoch : 3 * epoch + 3] for name in step]
        assert sorted(ids) == sorted(f"det:{row}" for row in range(12))


def test_two_processes_get_what_one_gets_with_twice_the_accumulation(world):
    config = run_config(RIS, VOS, steps=5)
    pair = [batches(world_feed(world, config, rank, 2)) for rank in range(2)]
    alone = batches(world_feed(world, run_config(RIS, VOS, steps=5, accumulation=2)))
    assert all(len(step) == 2 for step in alone)
    together = [[one[0], other[0]] for one, other in zip(*pair, strict=True)]
    assert same_batches(together, alone)
    assert {batch.weight for step in alone for batch in step} == {1.0}
    assert {batch.weight for part in pair for step in part for batch in step} == {1.0}


def test_unequal_parts_weigh_as_much_as_their_samples(world):
    config = run_config(RIS | {"batch_size": 5}, accumulation=2)
    step = batches(world_feed(world, config), 0, 1)[0]
    assert [batch.weight for batch in step] == pytest.approx([1.2, 0.8])


def test_the_batches_of_a_step_share_its_weight(world):
    """The loop adds up what they weigh: a step of several batches is no larger than a step of one."""
    for several, accumulation in ((1, 1), (3, 1), (2, 2)):
        options = {"mixture.batches": several, "accumulation": accumulation}
        for step in batches(world_feed(world, run_config(DETECTION, RIS, steps=3, **options))):
            assert [batch.weight for batch in step] == pytest.approx([1 / several] * several * accumulation)


def test_a_step_may_hold_batches_of_several_datasets_but_a_batch_of_one_task(world):
    config = run_config(DETECTION, RIS, FSS, VOS, steps=4, **{"mixture.batches": 3})
    for step in batches(world_feed(world, config)):
        assert len(step) == 3 and all(len(set(batch.tasks)) == 1 for batch in step)


def test_loader_processes_and_resuming_change_nothing(world):
    config = run_config(DETECTION, RIS, FSS, VOS, steps=8)
    whole = batches(world_feed(world, config))
    later = batches(world_feed(world, run_config(DETECTION, RIS, FSS, VOS, steps=8, loader_workers=2)), first=3)
    assert same_batches(whole[3:], later)
    assert sample_ids(whole[3:]) == sample_ids(later)
    assert world_feed(world, config).state_dict() == {}
    assert not same_batches(whole, batches(world_feed(world, run_config(DETECTION, RIS, FSS, VOS, steps=8, seed=1))))


def test_portraits_and_landscapes_are_not_mixed(world):
    rows = world["stills"]
    sides = [(64, 96) if row % 3 else (96, 64) for row in range(12)]
    tall = rows.remove_columns(["height", "width"])
    tall = tall.add_column("height", [h for h, _ in sides]).add_column("width", [w for _, w in sides])
    for streaming in (False, True):
        config = run_config(DETECTION | {"streaming": streaming}, steps=6, **{"mixture.block": 3})
        opened = {"det": tall.to_iterable_dataset() if streaming else tall}
        names = {name: row for row, name in enumerate(rows["sample_id"])}
        mixed = 0
        for step in sample_ids(batches(MixtureFeed(config, opened=opened))):
            numbers = [names[name[4:]] if streaming else int(name[4:]) for name in step]
            mixed += len({number % 3 == 0 for number in numbers}) > 1
        assert mixed == 0


# Streams


@pytest.mark.parametrize(("processes", "workers"), [(1, 0), (2, 0), (2, 2)])
def test_lanes_of_a_stream_share_an_epoch_without_overlap(world, processes, workers):
    # 12 rows in 4 shards, and every lane (process and loader process) reads as many as the others.
    config = run_config(STREAM | {"batch_size": processes}, steps=12 // processes, loader_workers=workers)
    ids = [
        name
        for rank in range(processes)
        for step in sample_ids(batches(world_feed(world, config, rank, processes)))
        for name in step
    ]
    assert sorted(ids) == sorted(f"stream:{name}" for name in world["stills"]["sample_id"])


@pytest.mark.parametrize(("workers", "stop"), [(0, 1), (0, 5), (0, 9), (2, 5)])
def test_a_resumed_stream_continues_with_the_very_next_sample(world, workers, stop):
    options = {"steps": 11, "loader_workers": workers, "mixture.block": 2}
    config = run_config(STREAM, DETECTION | {"streaming": True}, RIS, **options)
    whole = batches(world_feed(world, config))
    first = world_feed(world, config)
    assert same_batches(batches(first, 0, stop), whole[:stop])
    state = json.loads(json.dumps(first.state_dict()))
    second = world_feed(world, config)
    second.load_state_dict(state)
    rest = batches(second, stop)
    assert sample_ids(rest) == sample_ids(whole[stop:])
    assert same_batches(rest, whole[stop:])


def with_ids(rows):
    """Rows of a stream by the name of their sample."""
    return {row["sample_id"]: row for row in rows.with_format("arrow").to_list()}


def test_a_stream_takes_few_shot_examples_from_its_block(world):
    config = run_config(FSS_STREAM, steps=12, **{"mixture.block": 6})
    steps = batches(world_feed(world, config))
    assert same_batches(steps, batches(world_feed(world, config)))
    rows = with_ids(world["stills"])
    for (batch,) in steps:
        assert batch.inputs["reference_masks"].flatten(2).any(-1).all() and batch.targets.flatten(1).any(1).all()
        assert not torch.equal(batch.inputs["pixel_values"], batch.inputs["reference_pixel_values"][:, 0])
        assert {name.removeprefix("few:") for name in batch.sample_ids} <= set(rows)


@pytest.mark.parametrize("stop", [1, 5])
def test_a_resumed_few_shot_stream_continues_with_the_same_episodes(world, stop):
    config = run_config(FSS_STREAM, steps=8, loader_workers=2, **{"mixture.block": 3})
    whole = batches(world_feed(world, config))
    feed = world_feed(world, config)
    before = batches(feed, count=stop)
    resumed = world_feed(world, config)
    resumed.load_state_dict(json.loads(json.dumps(feed.state_dict())))
    assert same_batches(whole, before + batches(resumed, first=stop))


def test_rows_without_a_partner_in_their_block_are_passed_over_with_a_warning(world, caplog):
    def only(row, index):
        name = "twin" if index in (2, 3, 8) else f"single {index}"
        return {"instances": [item | {"category": name} for item in row["instances"]]}

    rows = world["stills"].with_format("arrow").map(lambda table: table).with_format(None)
    rows = rows.map(only, with_indices=True)
    options = FSS_STREAM | {"batch_size": 1}
    stream = {"few": rows.to_iterable_dataset()}
    steps = batches(MixtureFeed(run_config(options, steps=6, **{"mixture.block": 6}), opened=stream))
    ids = set(rows["sample_id"][index] for index in (2, 3))
    assert {name.removeprefix("few:") for (batch,) in steps for name in batch.sample_ids} == ids
    assert "only 2 of 6 rows of a block of the stream show a category that another one shows" in caplog.text
    alone = MixtureFeed(run_config(options, steps=6, **{"mixture.block": 1}), opened=stream)
    with pytest.raises(ValueError, match="no category is shown by two rows of a block of 1 .*raise mixture.block"):
        batches(alone)


def test_the_world_itself_can_be_streamed():
    feed = MixtureFeed(run_config(STREAM | {"samples": 4}, steps=2))
    names = [name for step in sample_ids(batches(feed)) for name in step]
    assert sorted(names) == [f"stream:world-still-train-0-{index}" for index in range(4)]


def test_streams_are_not_continued_by_a_number_of_loaders_that_breaks_their_lanes(world):
    config = run_config(STREAM, loader_workers=2)
    feed = world_feed(world, run_config(STREAM, loader_workers=3))
    with pytest.raises(ValueError, match="loader_workers: got 3; streams were read in 2 lanes"):
        feed.load_state_dict(world_feed(world, config).state_dict())


# The loop


def test_the_words_of_all_sentences_are_known(world, tmp_path):
    world["stills"].save_to_disk(str(tmp_path))
    words = MixtureFeed(run_config(RIS | {"source": str(tmp_path)})).vocabulary()
    sentences = [s["text"] for row in world["stills"].select_columns("sentences") for s in row["sentences"]]
    assert {word for text in sentences for word in text.replace("-", " ").split()} <= set(words)
    assert {"left", "right"} <= set(words)


def test_boxes_without_masks_train_with_boxinst_and_their_categories(world):
    from datasets import Dataset

    from transformers_uniref.datasets.schema import features
    from transformers_uniref.training.model.factory import build_model

    rows = world["stills"].with_format("arrow")[:4].to_pylist()
    for row in rows:
        row["instances"] = [instance | {"masks": []} for instance in row["instances"]]
    opened = Dataset.from_dict({name: [row[name] for row in rows] for name in rows[0]}, features=features())
    model = {"model.boxinst_loss": "true", "model.num_labels": 32, "model.use_language_references": "false"}
    config = run_config(DETECTION | {"labels": "category", "full_resolution_masks": True}, **model)
    (batch,) = batches(MixtureFeed(config, opened={"det": opened}), 0, 1)[0]
    assert all("masks" not in label for label in batch.inputs["labels"])
    assert batch.inputs["full_resolution_masks"] is True
    inputs = batch.inputs | {"full_resolution_masks": False}
    output = build_model(config, 100).train()(**inputs)
    assert {"loss_prj", "loss_pairwise"} <= {name.split(".")[0] for name in output.loss_dict}
    output.loss.backward()


def test_all_five_tasks_train_through_the_loop(world, tmp_path):
    import torch

    from transformers_uniref.training.loop import TrainingRun

    rvos = dataset("talk", "rvos", "clips", batch_size=2)
    small = {"batch_size": 2}
    options = {"steps": 6, "seed": 4, "log_every": 1, "loader_workers": 1}  # this seed draws every task in 6 steps
    config = run_config(DETECTION, RIS | small, FSS | small, VOS | small, rvos, **options)
    threads = torch.get_num_threads()
    try:
        run = TrainingRun(config, tmp_path, feed=world_feed(world, config))
        assert run.run()
    finally:
        torch.set_num_threads(threads)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = {name: value for record in records for name, value in record.items() if name.endswith("/loss")}
    assert {name.split("/")[0] for name in losses} == {"detection", "ris", "fss", "vos", "rvos"}
    assert all(np.isfinite(value) for value in losses.values())
