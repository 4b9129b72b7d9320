"""What a run shows while it runs: numbers, pictures, trackers."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("accelerate")

from training_support import very_tiny  # noqa: E402
from transformers_uniref.core.optional import MissingExtraError  # noqa: E402
from transformers_uniref.training.data.sample_pictures import chosen_entries  # noqa: E402
from transformers_uniref.training.loop import TrainingRun, train  # noqa: E402
from transformers_uniref.training.metrics_log import MetricsLog, RunningMeans, forget_after  # noqa: E402
from transformers_uniref.training.step.report import summary  # noqa: E402

pytestmark = pytest.mark.usefixtures("kept_threads")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = TrainingRun(very_tiny("pictures={every: 3, entries: 2}"), tmp_path_factory.mktemp("logged"))
    assert run.run()
    return run


def test_the_log_tells_throughput_memory_and_losses(run):
    records = [json.loads(line) for line in (run.output / "log.jsonl").read_text().splitlines()]
    last = records[-1]
    assert last["samples_per_second"] > 0 and last["memory_mib"] > 50 and last["skipped"] == 0
    assert "ris/loss" in last and "learning_rate" in last
    text = summary(last)
    assert "samples/s" in text and "MiB" in text and "ris/loss" in text and "skipped" not in text
    assert summary(last | {"skipped": 2}).endswith("skipped 2")


def test_the_progress_line_tells_the_time_left():
    stream = io.StringIO()
    log = MetricsLog(None, 100, stream=stream)
    log.path = "shown"
    log.started -= 10.0
    log.progress(50, "loss 1.0", final=True)
    assert stream.getvalue().startswith("step 50/100 [0:00:10<0:00:10] loss 1.0")


def test_pictures_show_reference_truth_and_prediction(run):
    names = sorted(path.name for path in (run.output / "pictures").iterdir())
    assert names == ["step-000003.png", "step-000006.png"]
    sheet = np.asarray(Image.open(run.output / "pictures" / names[0]))
    # Three columns of 256 x 192 and, in this step, entries of two micro-batches.
    assert sheet.shape[1] == 8 + 3 * (256 + 8) and (sheet.shape[0] - 8) % (192 + 36 + 8) == 0
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100


def test_pictures_take_entries_of_every_task_in_turn():
    assert chosen_entries(["ris", "ris", "rvos_text", "ris"], 3) == [0, 2, 1]
    assert chosen_entries([], 3) == []


def test_a_resumed_run_forgets_what_it_will_do_again(tmp_path):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"kind": "train", "step": step}) for step in (2, 4, 6)]
    path.write_text("\n".join(lines) + '\n{"kind": "tra')
    forget_after(path, 4)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [2, 4]


def test_means_of_processes_are_joined_by_their_counts():
    one, other = RunningMeans(), RunningMeans()
    one.add("loss", 1.0)
    other.add("loss", 4.0, count=2)
    one.absorb(other.take())
    assert one.pop() == {"loss": 3.0} and other.pop() == {}


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"{name} needs the package {name}.*\[trackers\]"):
        train(very_tiny(f"trackers=[{name}]"), tmp_path / "run")


def test_tensorboard_gets_the_numbers(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train(very_tiny("trackers=[tensorboard]", "steps=2"), tmp_path / "run")
    steps = []
    for path in (tmp_path / "run" / "trackers").rglob("events.*"):
        events = EventAccumulator(str(path))
        events.Reload()
        if "ris/loss" in events.Tags()["scalars"]:
            steps += [event.step for event in events.Scalars("ris/loss")]
    assert steps == [2]
