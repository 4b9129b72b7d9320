"""FSDP2: two processes with pieces of the model learn what two with whole copies learn, and leave the same files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from importlib import resources
from pathlib import Path

import pytest
import torch
import yaml

pytest.importorskip("accelerate")

from safetensors.torch import load_file  # noqa: E402

from places import SUPPORT, environment  # noqa: E402
from sharding_worker import SHARED, VALIDATED  # noqa: E402
from training_support import very_tiny  # noqa: E402
from transformers_uniref.training.checkpointing import load_checkpoint  # noqa: E402
from transformers_uniref.training.loop import TrainingRun  # noqa: E402
from transformers_uniref.training.resume_check import changed_options  # noqa: E402
from transformers_uniref.training.run_plan import build_plan  # noqa: E402
from transformers_uniref.training.sharding.request import Sharding, requested_sharding  # noqa: E402

SHIPPED = Path(str(resources.files("transformers_uniref"))) / "training" / "accelerate" / "fsdp2.yaml"
KINDS = ("whole", "sharded")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs with whole copies, with pieces, and resumed ones."""
    return launch("core", tmp_path_factory.mktemp("core"))


@pytest.fixture(scope="module")
def odd_runs(tmp_path_factory):
    """Runs in which something goes another way in one process."""
    return launch("odd", tmp_path_factory.mktemp("odd"))


def launch(scenarios: str, folder: Path) -> Path:
    """What two processes of `sharding_worker.py` leave, started by `accelerate launch` with the shipped fsdp2.yaml.

    Of some hundred launches one ended in a segmentation fault between two runs, whose cause was not found. Such an end,
    and no other, is reported as a warning with its trace, and what was launched is launched once more.
    """
    first, second = folder / "first", folder / "second"
    done = _launched(scenarios, first)
    if done.returncode != 0 and "SIGSEGV" in done.stderr:
        warnings.warn(f"a process of {scenarios!r} crashed, once more: {done.stderr[-8000:]}", stacklevel=1)
        done, first = _launched(scenarios, second), second
    assert done.returncode == 0, done.stderr[-4000:]
    (first / "stderr.txt").write_text(done.stderr)
    return first


def _launched(scenarios: str, folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir()
    launcher = yaml.safe_load(SHIPPED.read_text()) | {"use_cpu": True, "num_processes": 2}
    (folder / "cpu.yaml").write_text(yaml.safe_dump(launcher))
    return subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(folder / "cpu.yaml")]
        + [str(SUPPORT / "sharding_worker.py"), scenarios, str(folder)],
        capture_output=True,
        text=True,
        env=environment(PYTHONFAULTHANDLER="1"),
    )


def facts(runs: Path, process: int) -> dict:
    return json.loads((runs / f"facts-{process}.json").read_text())


def curve(output: Path, kind: str = "train") -> list[dict[str, float]]:
    records = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    kept = ("/loss", "/alignment", "/auxiliary", "/score", "gradient_norm")
    return [{n: v for n, v in record.items() if n.endswith(kept)} for record in records if record["kind"] == kind]


def assert_same_curve(one: Path, other: Path, steps: int, first: int = 0) -> None:
    expected, found = curve(one), curve(other)
    assert (len(expected), len(found)) == (steps, steps - first)
    for here, there in zip(expected[first:], found, strict=True):
        # AdamW's first steps turn the rounding of tiny gradients into whole steps: see test_training_processes.
        assert here.pop("gradient_norm") == pytest.approx(there.pop("gradient_norm"), rel=1e-3)
        assert here.keys() == there.keys() and here == pytest.approx(there, rel=1e-4)


def assert_same_weights(one: Path, other: Path) -> None:
    """Within 1e-5, a step at the learning rate of these first steps.

    Where the true gradient is zero, as of the bias of attention's keys, AdamW turns rounding into such steps: single
    elements may be some of them apart.
    """
    expected, found = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        apart = (value - found[name]).abs()
        assert float(apart.mean()) < 1e-5 and float(apart.max()) < 5e-5, name


def assert_same_state(one: object, other: object, where: str, atol: float) -> None:
    if isinstance(one, torch.Tensor):
        assert type(other) is torch.Tensor, where
        torch.testing.assert_close(other, one, rtol=0, atol=atol, msg=where)
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name, value in one.items():
            assert_same_state(value, other[name], f"{where}.{name}", atol)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for position, value in enumerate(one):
            assert_same_state(value, other[position], f"{where}.{position}", atol)
    else:
        assert one == other or one == pytest.approx(other, rel=1e-4), where


def test_sharded_processes_learn_what_whole_ones_learn(runs):
    """Through `accelerate launch` with the shipped fsdp2.yaml: tasks with other modules, clipping, validation."""
    assert_same_curve(runs / "whole", runs / "sharded", steps=4)
    expected, found = curve(runs / "whole", "validation"), curve(runs / "sharded", "validation")
    assert len(expected) == 1 and expected[0]
    assert found == [pytest.approx(values, rel=1e-4) for values in expected]


def test_parameters_moments_and_averages_are_in_pieces(runs):
    processes = [facts(runs, process)["sharded"] for process in (0, 1)]
    whole = facts(runs, 0)["whole"]
    assert whole["sharded"] == 0 and whole["pieces"] == whole["all"]
    for kind in ("pieces", "average", "moments"):
        assert sum(of[kind] for of in processes) == whole[kind], kind
        assert max(of[kind] for of in processes) < 0.55 * whole[kind], kind
    assert all(of["sharded"] == of["parameters"] for of in processes)


def test_what_is_written_is_what_a_run_with_whole_copies_writes(runs):
    for folder in ("final", "best"):
        assert_same_weights(runs / "whole" / folder, runs / "sharded" / folder)
        for file in (runs / "whole" / folder).iterdir():
            if file.suffix == ".json":
                assert file.read_text() == (runs / "sharded" / folder / file.name).read_text(), file.name
    states = [load_checkpoint(runs / name / "checkpoints" / "step-00000004") for name in ("whole", "sharded")]
    assert changed_options(states[0].pop("config"), states[1].pop("config")) == []
    assert_same_state(*states, "state", atol=5e-5)


def test_a_resumed_sharded_run_ends_with_the_weights_of_an_uninterrupted_one(runs):
    """To the last bit."""
    assert_same_curve(runs / "sharded", runs / "resumed-sharded", steps=4, first=2)
    expected, found = (
        load_file(runs / name / "final" / "model.safetensors") for name in ("sharded", "resumed-sharded")
    )
    assert expected.keys() == found.keys() and all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.slow
def test_a_checkpoint_of_whole_copies_resumes_sharded(odd_runs):
    assert_same_curve(odd_runs / "whole", odd_runs / "resumed-whole", steps=4, first=2)
    assert_same_weights(odd_runs / "whole" / "final", odd_runs / "resumed-whole" / "final")


def test_a_sharded_checkpoint_resumes_in_one_process(runs, tmp_path):
    output = tmp_path / "alone"
    shutil.copytree(runs / "sharded" / "checkpoints" / "step-00000002", output / "checkpoints" / "step-00000002")
    # One process with twice the accumulation makes the steps of two.
    run = TrainingRun(very_tiny(*SHARED, *VALIDATED, "sharding=fsdp2", "accumulation=2"), output)
    assert not run.sharded and run.resume(force=True) and run.step == 2
    assert run.run()
    assert_same_curve(runs / "sharded", output, steps=4, first=2)
    assert_same_weights(runs / "sharded" / "final", output / "final")


@pytest.mark.slow
def test_a_process_without_any_object_uses_the_same_modules(odd_runs):
    assert_same_curve(odd_runs / "lone-whole", odd_runs / "lone-sharded", steps=2)
    assert_same_weights(odd_runs / "lone-whole" / "final", odd_runs / "lone-sharded" / "final")


@pytest.mark.slow
def test_a_step_that_one_process_cannot_make_is_skipped_by_all(odd_runs):
    for process in (0, 1):
        assert facts(odd_runs, process) == {"skipped-whole": 1, "skipped-sharded": 1}
    after = [load_checkpoint(odd_runs / f"skipped-{kind}" / "checkpoints" / "step-00000002") for kind in KINDS]
    assert after[0]["skipped"] == after[1]["skipped"] == 1
    for name, value in after[0]["model"].items():  # one step was made
        torch.testing.assert_close(after[1]["model"][name], value, rtol=0, atol=1e-6, msg=name)
    assert_same_weights(*(odd_runs / f"skipped-{kind}" / "final" for kind in KINDS))


@pytest.mark.slow
def test_a_scaled_loss_learns_the_same(odd_runs):
    assert_same_curve(odd_runs / "whole", odd_runs / "scaled", steps=4)


def test_micro_batches_of_different_kinds_are_refused_in_all_processes(runs):
    for process in (0, 1):
        assert "micro-batches of different kinds in one step" in facts(runs, process)["unequal"]


def test_the_log_says_what_is_in_pieces(runs):
    assert "sharding fsdp2: " in (runs / "stderr.txt").read_text()


def test_sharding_is_asked_for_by_the_configuration_or_the_launcher(monkeypatch):
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    assert requested_sharding("none") is None
    assert requested_sharding("fsdp2") == Sharding(reshard_after_forward=True)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match="fsdp_version 1; accepted: 2"):
        requested_sharding("none")
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv("FSDP_RESHARD_AFTER_FORWARD", "false")
    assert requested_sharding("none") == Sharding(reshard_after_forward=False)
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(ValueError, match="fsdp_offload_params: got true"):
        requested_sharding("none")


@pytest.mark.parametrize("option", ["channels_last=true", "compile=eager"])
def test_options_that_cannot_be_sharded_are_refused_before_anything_is_built(option, tmp_path):
    with pytest.raises(ValueError, match=option.split("=")[0]):
        TrainingRun(very_tiny(option, "sharding=fsdp2"), tmp_path)


def test_the_plan_counts_the_pieces_of_one_process():
    whole, pieces = (build_plan(very_tiny(*SHARED, f"sharding={kind}"), 2)["memory"] for kind in ("none", "fsdp2"))
    assert pieces["optimizer"] == whole["optimizer"] / 2 and pieces["average"] == whole["average"] / 2
    assert "gathers" in pieces["activations"] and "gathers" not in whole["activations"]
