"""Several processes learn what one learns with as many micro-batches; gradients, precision and compilation."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
import torch
import yaml

pytest.importorskip("accelerate")

from accelerate import DistributedType  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from places import environment  # noqa: E402
from training_support import VERY_TINY, very_tiny  # noqa: E402
from transformers_uniref.training.loop import TrainingRun  # noqa: E402
from transformers_uniref.training.sharding.request import refuse_sharding  # noqa: E402
from transformers_uniref.training.trackers import build_accelerator  # noqa: E402

CONFIGS = Path(str(resources.files("transformers_uniref"))) / "training" / "accelerate"
# The second micro-batch touches other modules, and one process gets more of it than the other.
SHARED = (
    "steps=4",
    "log_every=1",
    "model.text_dropout=0.0",
    "micro_batches=[{scenes: {ris: 2}}, {scenes: {fss: 3}, every: 2}]",
)


pytestmark = pytest.mark.usefixtures("kept_threads")


def launch(command: list[str], output: Path, *overrides: str) -> None:
    chosen = [part for override in (*VERY_TINY, *overrides) for part in ("--override", override)]
    done = subprocess.run(
        [sys.executable, "-m", *command, "-m", "transformers_uniref", "train", "world-smoke", "--output", str(output)]
        + chosen,
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 process(es)" in done.stderr, done.stderr[-3000:]


def curve(output: Path) -> list[dict[str, float]]:
    records = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    kept = ("/loss", "/alignment", "/auxiliary", "gradient_norm")
    return [{name: value for name, value in record.items() if name.endswith(kept)} for record in records]


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    output = tmp_path_factory.mktemp("processes") / "one"
    run = TrainingRun(very_tiny(*SHARED, "accumulation=2"), output)
    assert run.run()
    return output


def assert_same_learning(one: Path, other: Path) -> None:
    assert len(curve(one)) == 4
    for here, there in zip(curve(one), curve(other), strict=True):
        # Rounding differs in the order of sums, and AdamW's first steps turn tiny gradients into whole steps.
        assert here.pop("gradient_norm") == pytest.approx(there.pop("gradient_norm"), rel=1e-3)
        assert here.keys() == there.keys() and here == pytest.approx(there, rel=1e-4)
    weights = load_file(other / "final" / "model.safetensors")
    for name, value in load_file(one / "final" / "model.safetensors").items():
        assert float((value - weights[name]).abs().mean()) < 1e-5, name


def test_two_processes_learn_what_one_learns_with_twice_the_accumulation(one_process, tmp_path):
    """Through `accelerate launch` and the configuration that is shipped."""
    launcher = ["accelerate.commands.launch", "--config_file", str(CONFIGS / "cpu.yaml")]
    launch([*launcher, "--main_process_port", free_port()], tmp_path / "two", *SHARED)
    assert_same_learning(one_process, tmp_path / "two")


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_two_processes_share_datasets_as_one_does_with_twice_the_accumulation(tmp_path):
    """Three images a batch: the first process gets two of them, and its loss counts twice."""
    datasets = pytest.importorskip("datasets")
    from data_support import open_world

    assert datasets
    for kind, rows in open_world(tmp_path / "cache").items():
        rows.save_to_disk(str(tmp_path / kind))
    sections = [
        {"name": "ref", "task": "ris", "source": str(tmp_path / "stills"), "questions": 2},
        {"name": "few", "task": "fss", "source": str(tmp_path / "stills")},
        {"name": "vid", "task": "vos", "source": str(tmp_path / "clips")},
    ]
    sections = [section | {"batch_size": 3, "short_sides": [64]} for section in sections]
    shared = [option for option in SHARED if not option.startswith("micro_batches")]
    # This seed draws every dataset within the four steps.
    shared += ["micro_batches=[]", f"datasets={json.dumps(sections)}", "mixture.batches=2", "seed=1"]
    run = TrainingRun(very_tiny(*shared, "accumulation=2"), tmp_path / "one")
    assert run.run()
    launcher = ["accelerate.commands.launch", "--config_file", str(CONFIGS / "cpu.yaml")]
    launch([*launcher, "--main_process_port", free_port()], tmp_path / "two", *shared)
    names = {name.split("/")[0] for record in curve(tmp_path / "one") for name in record}
    assert {"ris", "fss", "vos"} <= names
    assert_same_learning(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_torchrun_starts_them_too(one_process, tmp_path):
    launch(["torch.distributed.run", "--standalone", "--nproc_per_node", "2"], tmp_path / "two", *SHARED)
    assert_same_learning(one_process, tmp_path / "two")


def test_the_shipped_accelerate_configurations_can_be_read():
    from accelerate.commands.config.config_args import load_config_from_file

    names = {path.stem for path in CONFIGS.glob("*.yaml")}
    assert names == {"cpu", "ddp", "fsdp2", "deepspeed"}
    for name in names:
        config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
        assert config.num_processes >= 2, name
        assert yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["mixed_precision"] == "no"


@pytest.mark.parametrize("kind", ["DEEPSPEED", "MEGATRON_LM"])
def test_other_sharding_than_fsdp2_is_refused_rather_than_ignored(kind):
    with pytest.raises(ValueError, match="ddp.yaml"):
        refuse_sharding(DistributedType[kind])


@pytest.mark.parametrize("kind", ["DEEPSPEED", "MEGATRON_LM"])
def test_a_request_for_sharding_that_accelerate_drops_on_cpus_is_refused_too(kind, monkeypatch):
    monkeypatch.setenv(f"ACCELERATE_USE_{kind}", "true")
    with pytest.raises(ValueError, match=f"launched with {kind}"):
        refuse_sharding(DistributedType.NO)


def test_processes_that_do_not_see_each_other_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 were launched, but Accelerate sees 1"):
        build_accelerator(tmp_path, "no", [])


def test_checkpointed_activations_give_the_same_gradients(tmp_path):
    norms = []
    for override in ("gradient_checkpointing=false", "gradient_checkpointing=true"):
        run = TrainingRun(very_tiny("steps=2", "log_every=1", "checkpoint.every=9", override), tmp_path / override)
        assert run.run()
        norms.append([record["gradient_norm"] for record in curve(run.output)])
    assert run.model.is_activation_checkpointing
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


@pytest.mark.slow
def test_a_compiled_run_learns_the_same(tmp_path):
    losses = []
    for override in ("compile=", "compile=eager"):
        run = TrainingRun(very_tiny("steps=2", "log_every=1", "checkpoint.every=9", override), tmp_path / override)
        assert run.run()
        losses.append([record["ris/loss"] for record in curve(run.output)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_bfloat16_learns_about_the_same(tmp_path):
    losses = []
    for index, precision in enumerate(("no", "bf16")):
        config = very_tiny("steps=2", "log_every=1", "checkpoint.every=9")
        run = TrainingRun(config, tmp_path / precision)
        if index:
            run.accelerator.autocast = lambda: torch.autocast("cpu", torch.bfloat16)
        assert run.run()
        losses.append(curve(run.output)[0]["ris/loss"])
    assert losses[0] == pytest.approx(losses[1], rel=0.1) and losses[0] != losses[1]


def test_half_precision_on_a_cpu_is_half_precision(tmp_path):
    from accelerate.state import AcceleratorState

    losses, dtypes = [], set()
    options = ("steps=6", "log_every=1", "checkpoint.every=6", "micro_batches=[{scenes: {ris: 1}}]")
    try:
        for precision in ("no", "fp16"):
            AcceleratorState._reset_state(reset_partial_state=True)
            config = very_tiny(*options, f"mixed_precision={precision}")
            run = TrainingRun(config, tmp_path / precision)
            start = run.model.transformer.proposal_proj.weight.detach().clone()
            dtypes.clear()
            run.model.transformer.proposal_proj.register_forward_hook(lambda *given: dtypes.add(given[2].dtype))
            assert run.run()
            assert dtypes == {torch.float16 if precision == "fp16" else torch.float32}
            assert not torch.equal(start, run.model.transformer.proposal_proj.weight)
            losses.append(curve(run.output)[0]["ris/loss"])
        assert losses[0] == pytest.approx(losses[1], rel=0.01) and losses[0] != losses[1]
        scale = run.accelerator.scaler.get_scale()
        records = [json.loads(line) for line in (run.output / "log.jsonl").read_text().splitlines()]
        # The scale begins so high that some first steps overflow: each halves it and moves nothing.
        assert 0 < run.overflows < 6 and scale == 65536 / 2**run.overflows
        assert (records[-1]["loss_scale"], records[-1]["overflows"]) == (scale, run.overflows)
        resumed = TrainingRun(config, run.output)
        resumed.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
        assert resumed.resume() and resumed.accelerator.scaler.get_scale() == scale
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
