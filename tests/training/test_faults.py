"""Nothing is lost: killed, terminated, out of space or not finite, a run goes on as if nothing had been."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import random
import signal
import sys
import time

import pytest
import torch

pytest.importorskip("accelerate")

from training_support import RunServer, very_tiny  # noqa: E402
from transformers_uniref.training import checkpointing  # noqa: E402
from transformers_uniref.training.checkpointing import (  # noqa: E402
    CheckpointWriteError,
    list_checkpoints,
    load_checkpoint,
    load_newest_checkpoint,
    save_checkpoint,
    write_best,
)
from transformers_uniref.training.config.training import load_config  # noqa: E402
from transformers_uniref.training.data.feed import build_feed  # noqa: E402
from transformers_uniref.training.loop import TrainingRun  # noqa: E402
from transformers_uniref.training.resume_check import changed_options  # noqa: E402
from transformers_uniref.training.step.faults import NonFiniteError  # noqa: E402
from transformers_uniref.training.step.optimisation import learning_rate_factor  # noqa: E402

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals and fork"),
    pytest.mark.usefixtures("kept_threads"),
]


def assert_equal(one, other, where=""):
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one:
            assert_equal(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for position, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}[{position}]")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def assert_same_end(one, other):
    """Two runs ended with the same weights, averages and moments, and the same saved model, bit for bit."""
    states = [load_checkpoint(list_checkpoints(folder / "checkpoints")[-1]) for folder in (one, other)]
    assert_equal(*states)
    files = [(folder / "final" / "model.safetensors").read_bytes() for folder in (one, other)]
    assert files[0] == files[1]
    assert not list(other.rglob("*.partial"))
    records = [json.loads(line) for line in (other / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "train"] == [2, 4, 6]


# Killed


@pytest.fixture(scope="module")
def server():
    server = RunServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def uninterrupted(server, tmp_path_factory):
    output = tmp_path_factory.mktemp("faults") / "straight"
    started = time.monotonic()
    assert server.run(output) == 0, output.with_suffix(".txt").read_text()
    server.duration = time.monotonic() - started
    return output


def finish(server, output):
    assert server.run(output, resume=True) == 0, output.with_suffix(".txt").read_text()


def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_been(server, uninterrupted, tmp_path):
    output = tmp_path / "run"
    chance = random.Random(0)
    for _ in range(3):
        assert server.run_and_kill(output, chance.uniform(0.2, 0.9) * server.duration, resume=True) in (
            -signal.SIGKILL,
            0,
        )
    finish(server, output)
    assert_same_end(uninterrupted, output)


def test_a_run_that_is_killed_while_it_saves_ends_as_if_nothing_had_been(server, uninterrupted, tmp_path):
    output = tmp_path / "run"
    for operation in (2, 9, 23, 31):
        assert server.run(output, resume=True, die_at=operation) == -signal.SIGKILL
        for checkpoint in list_checkpoints(output / "checkpoints"):
            load_checkpoint(checkpoint)
    finish(server, output)
    assert_same_end(uninterrupted, output)


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(20))
def test_a_run_that_is_killed_at_any_moment_ends_as_if_nothing_had_been(server, uninterrupted, tmp_path, trial):
    output = tmp_path / "run"
    chance = random.Random(trial)
    if trial % 2:
        server.run(output, resume=True, die_at=chance.randrange(1, 120))
    else:
        server.run_and_kill(output, chance.uniform(0.0, 1.0) * server.duration, resume=True)
    finish(server, output)
    assert_same_end(uninterrupted, output)


def test_a_terminated_run_saves_says_so_and_can_be_resumed(server, uninterrupted, tmp_path):
    output = tmp_path / "run"
    started = server.start(output, overrides=("steps=100000", "checkpoint.every=100000"))
    while not (output / "log.jsonl").is_file():
        assert server.process.poll() is None
    os.kill(started, signal.SIGTERM)
    assert server.wait() == 130
    said = output.with_suffix(".txt").read_text()
    assert "checkpoint written" in said and "continue with --resume" in said
    (saved,) = list_checkpoints(output / "checkpoints")
    assert load_checkpoint(saved)["step"] >= 2


# Checkpoints


def test_a_full_disk_leaves_the_previous_checkpoint_whole_and_the_error_says_what_is_needed(tmp_path):
    resource = pytest.importorskip("resource")
    save_checkpoint(tmp_path, 1, {"step": 1, "model": torch.ones(1000)}, keep=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
    try:
        with pytest.raises(CheckpointWriteError) as caught:
            save_checkpoint(tmp_path, 2, {"step": 2, "model": torch.ones(2**20)}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert str(tmp_path) in str(caught.value) and "4194304 bytes" in str(caught.value)
    assert "step-00000001 before it is whole" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert load_checkpoint(tmp_path / "step-00000001")["step"] == 1


def test_a_run_that_ran_out_of_space_resumes(tmp_path, monkeypatch, uninterrupted):
    run = TrainingRun(very_tiny(), tmp_path)
    write = checkpointing._Watched.write

    def no_room_after_three(self, data):
        if run.step > 3:
            self.error = OSError(errno.ENOSPC, "No space left on device")
            raise self.error
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(checkpointing._Watched, "write", no_room_after_three)
        with pytest.raises(OSError, match="No space left.*bytes.*are needed.*step-00000003 before it is whole"):
            run.run()
    resumed = TrainingRun(very_tiny(), tmp_path)
    assert resumed.resume() and resumed.step == 3 and resumed.run()
    assert_same_end(uninterrupted, tmp_path)


def test_the_best_checkpoint_stays_beside_the_newest(tmp_path):
    for step in (1, 2, 3, 4):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2, best_step=1)
    write_best(tmp_path, 1, "ris/iou", 0.5)
    names = ["step-00000001", "step-00000003", "step-00000004"]
    assert [path.name for path in list_checkpoints(tmp_path)] == names
    assert json.loads((tmp_path / "best.json").read_text())["checkpoint"] == names[0]


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step, "model": torch.ones(1000)}, keep=2)
    damaged = tmp_path / "step-00000002" / checkpointing.STATE_FILE
    damaged.write_bytes(damaged.read_bytes()[:2000])
    state, unreadable = load_newest_checkpoint(tmp_path)
    assert state is not None and state["step"] == 1
    assert "step-00000002" in unreadable[0]


def test_the_best_by_a_measure_of_the_validation_is_kept_and_exported(tmp_path, monkeypatch):
    options = ("validation.every=1", "checkpoint.best=ris/iou", "checkpoint.every=3", "checkpoint.keep=1", "steps=4")
    run = TrainingRun(very_tiny(*options), tmp_path)
    monkeypatch.setattr(run, "validate", lambda: {"ris/iou": {1: 0.1, 2: 0.4, 3: 0.3, 4: 0.2}[run.step]})
    assert run.run()
    assert [path.name for path in list_checkpoints(tmp_path / "checkpoints")] == ["step-00000002", "step-00000004"]
    assert (tmp_path / "best" / "model.safetensors").is_file() and (tmp_path / "final").is_dir()
    best = json.loads((tmp_path / "checkpoints" / "best.json").read_text())
    assert (best["step"], best["value"]) == (2, 0.4)
    assert TrainingRun(very_tiny(*options), tmp_path / "other").best == {}
    again = TrainingRun(very_tiny(*options), tmp_path)
    assert again.resume() and again.best == {"measure": "ris/iou", "value": 0.4, "step": 2}


def test_a_measure_that_the_validation_does_not_have_is_named(tmp_path, monkeypatch):
    run = TrainingRun(very_tiny("validation.every=1", "checkpoint.best=ris/iuo"), tmp_path)
    monkeypatch.setattr(run, "validate", lambda: {"ris/iou": 0.1})
    with pytest.raises(ValueError, match="ris/iuo.*ris/iou"):
        run.run()


# The feed's state


class CountingFeed:
    """Wraps a feed with a state of its own, and can spoil a step's pictures."""

    def __init__(self, config, spoilt_step=-1, state="count"):
        self.inner = build_feed(config)
        self.spoilt_step = spoilt_step
        self.state = state
        self.given = 0

    summary = "counted scenes"

    def vocabulary(self):
        return self.inner.vocabulary()

    def steps(self, first_step, collator):
        for step, batches in enumerate(self.inner.steps(first_step, collator), first_step):
            self.given = step + 1
            for position, batch in enumerate(batches):
                batch.sample_ids = [f"spoilt:{step}-{position}-{entry}" for entry in range(len(batch.tasks))]
                if step == self.spoilt_step and position == 0:
                    batch.inputs["pixel_values"][:] = math.nan
            yield batches

    def state_dict(self):
        return {self.state: self.given}

    def load_state_dict(self, state):
        self.given = state[self.state]


def test_the_feed_gets_its_state_back(tmp_path):
    config = very_tiny("steps=2")
    run = TrainingRun(config, tmp_path, feed=CountingFeed(config))
    assert run.run()
    resumed = TrainingRun(config, tmp_path, feed=CountingFeed(config))
    assert resumed.resume() and resumed.feed.given == 2


def test_a_state_that_could_not_be_read_again_is_not_saved(tmp_path):
    config = very_tiny("steps=2")
    feed = CountingFeed(config)
    feed.state_dict = lambda: {"where": {3}}
    with pytest.raises(TypeError, match=r"data feed\[0\]\['where'\]: got a set"):
        TrainingRun(config, tmp_path, feed=feed).run()


# Not finite


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_samples(tmp_path):
    config = very_tiny()
    run = TrainingRun(config, tmp_path, feed=CountingFeed(config, spoilt_step=3))
    with pytest.raises(NonFiniteError, match=r"step 3: the loss .*tasks: ris; samples: spoilt:3-0-0"):
        run.run()
    report = json.loads((tmp_path / "nonfinite-step-00000003-process-0.json").read_text())
    assert report["what"] == "loss" and report["sample_ids"][0] == "spoilt:3-0-0"
    assert not any("-1-" in sample for sample in report["sample_ids"])
    assert load_checkpoint(list_checkpoints(tmp_path / "checkpoints")[-1])["step"] == 3


def assert_schedule_kept(run):
    """The learning rate follows the number of the step, whether or not the weights were moved in it."""
    assert run.step == run.config.steps == run.scheduler.last_epoch
    (base, *_), (group, *_) = run.scheduler.base_lrs, run.optimizer.param_groups
    factor = learning_rate_factor(run.step, run.config.steps, run.config.optimizer)
    assert group["lr"] == pytest.approx(base * factor)


def test_a_step_that_is_not_finite_is_skipped_and_counted_when_asked_for(tmp_path):
    config = very_tiny("on_nonfinite=skip")
    run = TrainingRun(config, tmp_path, feed=CountingFeed(config, spoilt_step=3))
    assert run.run() and run.skipped == 1
    assert all(bool(value.isfinite().all()) for value in run.model.state_dict().values())
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if record["kind"] == "skipped"] == [4]
    assert records[-1]["skipped"] == 1
    assert_schedule_kept(run)
    assert (tmp_path / "nonfinite-step-00000003-process-0.json").is_file()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_stops_the_run_too(tmp_path, value):
    config = very_tiny("steps=2")
    run = TrainingRun(config, tmp_path, feed=CountingFeed(config))
    run.model.transformer.proposal_proj.weight.register_hook(lambda gradient: gradient * value)
    with pytest.raises(NonFiniteError, match="step 0: the gradient is not finite .*samples: spoilt:0-0-0"):
        run.run()


def test_half_precision_overflows_lower_the_scale_and_stop_nothing(tmp_path):
    run = TrainingRun(very_tiny("steps=3"), tmp_path)
    run.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    overflow = {1: math.inf}
    run.model.transformer.proposal_proj.weight.register_hook(lambda gradient: gradient * overflow.get(run.step, 1.0))
    assert run.run()
    assert (run.overflows, run.skipped, run.accelerator.scaler.get_scale()) == (1, 0, 512.0)
    assert_schedule_kept(run)


def test_a_first_step_without_any_backward_pass_is_skipped_in_half_precision_too(tmp_path):
    config = very_tiny("steps=2", "on_nonfinite=skip", "micro_batches=[{scenes: {ris: 1}}]")
    run = TrainingRun(config, tmp_path, feed=CountingFeed(config, spoilt_step=0))
    run.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    assert run.run() and (run.skipped, run.accelerator.scaler.get_scale()) == (1, 4.0)


def test_a_gradient_that_no_scale_makes_finite_stops_the_run(tmp_path):
    run = TrainingRun(very_tiny("steps=30"), tmp_path)
    run.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    run.model.transformer.proposal_proj.weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(NonFiniteError, match="gradient"):
        run.run()
    assert run.overflows == 2


# Changed or wrong configurations


def test_every_changed_option_is_named_with_its_old_and_new_value():
    then = very_tiny().to_dict()
    now = very_tiny("optimizer.betas=[0.9, 0.95]", "seed=3", "log_every=7", "micro_batches.0.scenes.ris=2").to_dict()
    assert changed_options(then, now) == [
        "seed: 0 then, 3 now",
        "micro_batches.0.scenes.ris: 1 then, 2 now",
        "optimizer.betas.1: 0.98 then, 0.95 now",
    ]
    assert changed_options(then, very_tiny("frozen=[fusion]").to_dict()) == [
        "frozen.0: absent then, 'fusion' now",
        "frozen: [] then, absent now",
    ]


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("optimiser.learning_rate", "optimizer"),
        ("optimizer.learning_rat", "learning_rate"),
        ("stepz", "steps"),
        ("learning_rate", "optimizer.learning_rate"),
    ],
)
def test_an_unknown_key_suggests_the_nearest_valid_one(key, suggestion):
    with pytest.raises(ValueError, match=rf"unknown option; did you mean {suggestion}\?"):
        load_config("world-smoke", [f"{key}=1"])


def test_a_config_that_differs_in_what_it_reports_only_may_resume(tmp_path):
    assert TrainingRun(very_tiny("steps=2"), tmp_path).run()
    config = dataclasses.replace(very_tiny("steps=2"), log_every=5, threads=1)
    assert TrainingRun(config, tmp_path).resume()


def test_what_is_trained_cannot_change_even_by_force(tmp_path):
    assert TrainingRun(very_tiny("steps=2"), tmp_path).run()
    with pytest.raises(ValueError, match="frozen"):
        TrainingRun(very_tiny("steps=2", "frozen=[fusion]"), tmp_path).resume(force=True)
