"""The loop: it learns, validates, resumes and saves."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

pytest.importorskip("accelerate")

from places import environment  # noqa: E402
from training_support import tiny  # noqa: E402
from transformers_uniref.training.config.training import load_config  # noqa: E402
from transformers_uniref.training.loop import TrainingRun, train  # noqa: E402
from transformers_uniref.training.validation.validation import Validation, validation_parts  # noqa: E402

pytestmark = pytest.mark.usefixtures("kept_threads")


@pytest.fixture(scope="module")
def straight_run(tmp_path_factory):
    output = tmp_path_factory.mktemp("straight")
    run = TrainingRun(tiny(), output)
    assert run.run()
    return run


def test_a_resumed_run_equals_an_uninterrupted_one(straight_run, tmp_path):
    interrupted = TrainingRun(tiny(), tmp_path)
    step_of = interrupted.train_step

    def stop_after_three(batches):
        step_of(batches)
        interrupted.stop_requested = interrupted.step == 2

    interrupted.train_step = stop_after_three
    assert not interrupted.run()
    assert interrupted.step == 3
    resumed = TrainingRun(tiny(), tmp_path)
    assert resumed.resume() and resumed.step == 3
    assert resumed.run()
    for name, value in straight_run.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    for name, value in straight_run.ema.parameters.items():
        assert torch.equal(value, resumed.ema.parameters[name]), name


def test_resuming_with_another_configuration_is_refused(straight_run):
    other = TrainingRun(tiny("optimizer.learning_rate=2e-3"), straight_run.output)
    with pytest.raises(ValueError, match=r"optimizer.learning_rate: 0.001 then, 0.002 now.*`force`"):
        other.resume()
    assert other.resume(force=True) and other.step == 6
    assert any("optimizer.learning_rate" in line for line in other.start_report)


def test_a_used_output_folder_is_refused(tmp_path):
    (tmp_path / "something").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        train(tiny(), tmp_path)


def test_the_final_folder_is_a_transformers_model_without_training_helpers(straight_run):
    from transformers import AutoModel, AutoProcessor

    import transformers_uniref  # noqa: F401

    final = straight_run.output / "final"
    model, info = AutoModel.from_pretrained(final, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert set(model.state_dict()) == set(straight_run.model.state_dict())
    for name, value in straight_run.ema.parameters.items():
        assert torch.equal(model.get_parameter(name), value), name
    processor = AutoProcessor.from_pretrained(final)
    image = np.zeros((64, 80, 3), dtype=np.uint8)
    with torch.no_grad():
        output = model(**processor(images=image, text="the red star", return_tensors="pt"))
    assert output.pred_masks.shape[:2] == (1, 1)


def test_the_log_tells_the_right_object_rate_and_the_time_of_each_task(straight_run):
    lines = [json.loads(line) for line in (straight_run.output / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6]
    assert {"ris/right", "ris/iou", "fss/iou", "ris/loss", "ris/ms", "learning_rate"} <= set(lines[-1])


def test_a_few_steps_lower_the_loss(tmp_path):
    overrides = ("steps=25", "checkpoint.every=100", "micro_batches=[{scenes: {ris: 4}}]")
    assert train(tiny(*overrides), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["ris/loss"] for line in lines]
    assert losses[-1] < 0.85 * losses[0]


def test_the_validation_reports_every_task(straight_run):
    run = straight_run
    config = tiny("validation.every=1")
    parts = validation_parts(config.validation, config.sampling, config.seed, True, run.collator)
    values = Validation(parts, run.collator).run(run.model.train(), run.device, run.accelerator.autocast)
    assert {"ris/iou", "swap", "fss/iou", "vos/propagated", "rvos/propagated"} <= set(values)
    assert all(0.0 <= value <= 1.0 for value in values.values())
    assert run.model.training


@pytest.mark.slow
def test_two_processes_learn_the_same_weights_on_each(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, torch\n"
        "from accelerate import Accelerator\n"
        "from transformers_uniref.training.config.training import load_config\n"
        "from transformers_uniref.training.loop import TrainingRun\n"
        "overrides = ['steps=1', 'micro_batches=[{scenes: {ris: 2}}, {scenes: {fss: 2}}]', 'text.dropout=0.0']\n"
        "run = TrainingRun(load_config('world-smoke', overrides), sys.argv[1], accelerator=Accelerator(cpu=True))\n"
        "assert run.run() and run.accelerator.num_processes == 2\n"
        "total = torch.stack([p.detach().double().sum() for p in run.model.parameters()]).sum()[None]\n"
        "both = run.accelerator.gather(total)\n"
        "assert torch.equal(both[0], both[1]), both\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    command.append(str(tmp_path / "out"))
    done = subprocess.run(command, capture_output=True, text=True, env=environment(ACCELERATE_USE_CPU="true"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "final" / "model.safetensors").is_file()


def test_a_run_starts_from_given_weights_of_its_own_sizes_only(tmp_path):
    from transformers_uniref.training.model.factory import build_model

    source = build_model(load_config("world-smoke", ["seed=5"]), 60)
    source.save_pretrained(tmp_path)
    started = build_model(load_config("world-smoke", [f"initial_weights={tmp_path}"]), 60)
    for name, value in source.state_dict().items():
        assert torch.equal(started.state_dict()[name], value), name
    with pytest.raises(ValueError, match="initial_weights.*word_embeddings.*initial_weights_skip"):
        build_model(load_config("world-smoke", [f"initial_weights={tmp_path}"]), 61)
