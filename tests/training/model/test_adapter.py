"""Training adapters through `uniref train`: what is logged, saved, resumed bit for bit, and refused."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

pytest.importorskip("accelerate")
peft = pytest.importorskip("peft")

from transformers import AutoModel, AutoProcessor  # noqa: E402

from training_support import very_tiny  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402
from transformers_uniref.training.checkpointing import list_checkpoints, load_checkpoint  # noqa: E402
from transformers_uniref.training.config.training import config_from_dict, load_config  # noqa: E402
from transformers_uniref.training.export import build_processor, export_model  # noqa: E402
from transformers_uniref.training.loop import TrainingRun, train  # noqa: E402
from transformers_uniref.training.model.adapter import keep_frozen_statistics  # noqa: E402
from transformers_uniref.training.model.factory import build_model, choose_tokenizer  # noqa: E402
from transformers_uniref.training.model.tokenizer import build_tokenizer  # noqa: E402
from transformers_uniref.training.run_provenance import data_of, trained  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def exported(folder, model, tokenizer, config):
    """What a run of `config` leaves after a step."""
    processor = build_processor(config, tokenizer, model.config.text_length, config.image_processor, 64)
    return export_model(folder, model, processor, trained(config.name, 1, config, data_of(config)), config.save_dtype)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model as a run leaves it, with a batch-normalised value encoder."""
    config = very_tiny("model.value_encoder_norm=batch")
    tokenizer = build_tokenizer(["red", "blue", "star", "ring", "the"], 24)
    folder = tmp_path_factory.mktemp("base") / "final"
    return exported(folder, build_model(config, len(tokenizer)), tokenizer, config)


def adapting(base, *overrides, preset="lora"):
    """A run of four steps that trains an adapter for `base`, with `world-smoke`'s own architecture left out."""
    return very_tiny("model={}", "steps=4", f"initial_weights={base}", f"peft.preset={preset}", *overrides)


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    output = tmp_path_factory.mktemp("adapted") / "run"
    assert train(adapting(base), output)
    return output


def tensors_of(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def assert_equal(first, second):
    assert set(first) == set(second)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_a_run_leaves_an_adapter_folder_with_processor_and_tokenizer(finished, base):
    final = finished / "final"
    names = {path.name for path in final.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "processor_config.json", "tokenizer.json"} <= names
    assert not {"config.json", "model.safetensors"} & names
    assert json.loads((final / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)
    model, account = AutoModel.from_pretrained(final, output_loading_info=True)
    assert type(model).__name__ == "UniRefModel" and not account["missing_keys"] and not account["unexpected_keys"]
    processor = AutoProcessor.from_pretrained(final)
    assert processor.tokenizer.get_vocab() == AutoProcessor.from_pretrained(base).tokenizer.get_vocab()
    assert list(peft.PeftModel.from_pretrained(AutoModel.from_pretrained(base), final).peft_config) == ["default"]


def test_what_is_saved_are_the_averaged_weights_of_the_run(base, tmp_path):
    run = TrainingRun(adapting(base), tmp_path / "run")
    assert run.run()
    saved = tensors_of(tmp_path / "run" / "final")
    averages = {name.replace(".default", ""): value for name, value in run.ema.parameters.items()}
    assert all(".original_module." not in name and ".base_layer." not in name for name in averages)
    for name, value in averages.items():
        assert torch.equal(saved["base_model.model." + name.replace(".modules_to_save", "")], value), name
    # Beyond the parameters, the copies bring the statistics of their batch norms.
    others = set(saved) - {"base_model.model." + name.replace(".modules_to_save", "") for name in averages}
    assert others and all("mask_encoder" in name and name.endswith(("mean", "var", "tracked")) for name in others)


def test_the_base_in_memory_is_the_base_on_the_disk_after_training(base, tmp_path):
    # lora-light leaves the value encoder in the base: its batch norms must not move with the training pictures.
    run = TrainingRun(adapting(base, preset="lora-light"), tmp_path / "run")
    assert run.run()
    trained = {
        name.replace(".base_layer.", ".").replace(".original_module.", "."): value
        for name, value in run.model.state_dict().items()
    }
    assert_equal(
        {name: trained[name] for name in AutoModel.from_pretrained(base).state_dict()},
        AutoModel.from_pretrained(base).state_dict(),
    )


def test_the_log_says_what_share_is_trained(base, tmp_path):
    report: list[str] = []
    config = adapting(base)
    model = build_model(config, 0, report)
    (line,) = [line for line in report if line.startswith("adapter lora: ")]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert line.startswith(f"adapter lora: {trained:,} of ") and line.endswith(" %)")


def test_an_interrupted_adapter_run_resumes_bit_for_bit(base, finished, tmp_path):
    run = TrainingRun(adapting(base), tmp_path)
    step = run.train_step

    def stop_after_two(batches):
        done = step(batches)
        run.stop_requested = run.step == 1
        return done

    run.train_step = stop_after_two
    assert run.run() is False
    (saved,) = list_checkpoints(tmp_path / "checkpoints")[-1:]
    state = load_checkpoint(saved)
    assert state["step"] == 2 and not any(
        ".base_layer." in name or ".original_module." in name for name in state["ema"]["parameters"]
    )
    assert not any(name.endswith("base_layer.weight") for name in state["model"])  # the base is not saved again
    again = TrainingRun(adapting(base), tmp_path)
    assert again.resume() and again.run()
    assert_equal(tensors_of(tmp_path / "final"), tensors_of(finished / "final"))


def test_a_base_that_changed_stops_the_resumption(base, finished):
    run = TrainingRun(adapting(base), finished)
    state = load_checkpoint(list_checkpoints(finished / "checkpoints")[-1])
    with pytest.raises(ValueError, match="the base model .* has changed"):
        run.load_state_dict(state | {"base": "other"})
    with pytest.raises(ValueError, match="peft.preset: 'lora' then, 'dora' now"):
        TrainingRun(adapting(base, preset="dora"), finished).load_state_dict(state)


def test_the_command_line_takes_a_preset_and_a_configuration_of_any_kind(base, tmp_path, capsys):
    options = [f"initial_weights={base}", "model={}", "steps=1", "micro_batches=[{scenes: {ris: 1}}]"]
    train_it = ["train", "world-smoke", *(part for option in options for part in ("--override", option))]
    (tmp_path / "rank.json").write_text(json.dumps({"r": 2}))
    (tmp_path / "ia3.yaml").write_text(
        yaml.safe_dump(
            {"peft_type": "IA3", "target_modules": ["linear1", "v_proj"], "feedforward_modules": ["linear1"]}
        )
    )
    changed = [*train_it, "--peft", "lora", "--peft-config", str(tmp_path / "rank.json"), "--dry-run", "--json"]
    assert main(changed) == 0
    plan = json.loads(capsys.readouterr().out)
    assert 0 < plan["trainable"] < plan["parameters"] and plan["memory"]["average"] < plan["memory"]["parameters"]
    assert main([*train_it, "--peft-config", str(tmp_path / "ia3.yaml"), "--output", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "final" / "adapter_config.json").read_text())["peft_type"] == "IA3"
    AutoModel.from_pretrained(tmp_path / "run" / "final")
    capsys.readouterr()
    for wrong, message in (
        (["--peft", "qlora"], "peft.preset: got 'qlora'; accepted: '', 'lora', 'dora', 'lora-light'"),
        (["--peft-config", str(tmp_path / "none.json")], "--peft-config: no such file"),
        (["--peft", "lora", "--override", "initial_weights="], "initial_weights"),
        (["--peft", "lora", "--override", "freeze=fusion"], "freeze: got 'fusion' with an adapter"),
        (["--peft", "lora", "--override", "text_weights=bert"], "text_weights: got 'bert', but an adapter"),
    ):
        assert main([*train_it, *wrong, "--output", str(tmp_path / "refused")]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert message in line
        assert not (tmp_path / "refused").exists()


def test_the_architecture_is_that_of_the_base(base):
    with pytest.raises(ValueError, match=r"model.d_model: got 32, and the configuration of .* says 64"):
        build_model(adapting(base, "model={d_model: 32}"), 0)
    model = build_model(adapting(base, "model={dice_loss_weight: 9.0, ffn_dim: 16}"), 0)
    assert model.config.dice_loss_weight == 9.0 and model.config.ffn_dim == 16


def test_a_whole_model_can_be_taken_without_an_adapter(base, tmp_path):
    config = very_tiny("model={}", "architecture=initial_weights", f"initial_weights={base}", "freeze=decoder")
    model = build_model(config, 0)
    trained = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {"transformer", "class_heads", "box_heads", "mask_head"}
    tokenizer = choose_tokenizer(config, ["unheard"])
    exported(tmp_path / "final", model, tokenizer, config)
    assert_equal(
        AutoModel.from_pretrained(tmp_path / "final").state_dict(), AutoModel.from_pretrained(base).state_dict()
    )


def test_an_adapter_is_no_base_for_another(finished):
    with pytest.raises(ValueError, match=r"is an adapter for .*uniref export"):
        build_model(adapting(finished / "final"), 0)


def test_a_full_disk_at_the_end_leaves_the_previous_adapter_whole(base, finished, tmp_path, monkeypatch):
    import shutil

    from transformers_uniref import UniRefProcessor

    shutil.copytree(finished / "final", tmp_path / "final")
    before = {path.name: path.read_bytes() for path in (tmp_path / "final").iterdir()}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    config = adapting(base)
    model = build_model(config, 0)
    with monkeypatch.context() as patch:
        patch.setattr(UniRefProcessor, "save_pretrained", full)
        with pytest.raises(OSError, match="was not written .No space left.*what was there before is whole"):
            exported(tmp_path / "final", model, None, config)
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "final").iterdir()} == before


def test_batch_norms_of_the_base_keep_their_statistics_in_training():
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(2), torch.nn.BatchNorm2d(2)).train()
    model[0].requires_grad_(False)
    keep_frozen_statistics(model)
    assert not model[0].training and model[1].training


@pytest.mark.parametrize("name", ["few-shot-lora", "clip-lora"])
def test_the_recipes_for_adapters_ask_for_pictures_alone(name):
    config = load_config(name)
    assert config.peft.preset == "lora" and config.initial_weights == "uniref-pp"
    (missing,) = config.unset_options()
    assert missing.startswith("datasets.0.source")
    assert config_from_dict(config.to_dict()) == config
    model = build_model(config, 0)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) > 0
