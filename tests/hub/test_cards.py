"""What a card says, what a folder must hold to be pushed, and what is refused, all without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, BertModel

from cli_support import save_tiny_checkpoint
from processor_support import small_processor
from transformers_uniref.core.provenance import Provenance, weights_fingerprint, write_provenance
from transformers_uniref.evaluation.definitions import DEFINITIONS
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.hub.push import PushError, plan_push
from transformers_uniref.training.config.training import load_config
from transformers_uniref.training.run_provenance import data_of, trained


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "model"))


def card(folder: Path, license: str | None = "mit", **options: Any) -> ModelCard:
    return ModelCard(plan_push(folder, "lab/model", license, **options).card)


def evaluation(folder: Path, value: float = 0.5) -> dict[str, Any]:
    measured: dict[str, Any] = {section: dict.fromkeys(names, value) for section, names in DEFINITIONS.items()}
    settings = {"dataset": "world", "split": "test", "seed": 1000, "images": 4, "clips": 2, "size": 128}
    return {**measured, "settings": {**settings, "weights": weights_fingerprint(folder)}}


def adapter(folder: Path, base: str) -> Path:
    folder.mkdir()
    config = {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "base_model_name_or_path": base,
        "modules_to_save": ["fusion"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    save_file({"base_model.model.x.lora_A.weight": torch.zeros(4, 16)}, folder / "adapter_model.safetensors")
    return folder


# ------------------------------------------------------------------------------------------------------------ the card
def test_a_card_tells_tasks_architecture_size_licence_and_citation(model: Path) -> None:
    made = card(model)
    parameters = sum(parameter.numel() for parameter in AutoModel.from_pretrained(model).parameters())
    assert made.data.to_dict() == {
        "library_name": "transformers",
        "license": "mit",
        "pipeline_tag": "image-segmentation",
        "tags": [
            "uniref",
            "referring-segmentation",
            "referring-video-segmentation",
            "few-shot-segmentation",
            "video-object-segmentation",
        ],
    }
    assert f"| parameters | {parameters:,}, stored as float32 |" in made.text
    assert "resnet, stages of 1, 1, 1, 1 blocks" in made.text
    assert "arXiv:2312.15715" in made.text
    assert "None were measured" in made.text
    assert "do not say what the weights were trained on" in made.text
    assert "{{" not in made.text and "{%" not in made.text


def test_a_card_tells_recipe_and_data_of_a_training_and_no_paths(model: Path, tmp_path: Path) -> None:
    changes = ["initial_weights=lab/start", f"datasets.0.source={tmp_path}", "datasets.1.source=lab/refcoco"]
    config = load_config("uniref-r50-image", changes)
    write_provenance(model, trained(config.name, 1234, config, data_of(config)))
    made = card(model)
    assert made.data.datasets == ["lab/refcoco"]
    assert (made.data.base_model, made.data.base_model_relation) == ("lab/start", "finetune")
    assert "recipe `uniref-r50-image`, 1,234 steps, seed" in made.text
    assert "| refcoco | ris | [lab/refcoco](https://huggingface.co/datasets/lab/refcoco) |" in made.text
    assert "| coco | detection | not on the Hub |" in made.text
    assert "model from `lab/start`" in made.text
    assert str(tmp_path) not in made.content


def test_a_card_of_a_model_of_the_drawn_world_warns_of_photographs(model: Path) -> None:
    config = load_config("world-smoke")
    write_provenance(model, trained(config.name, 60, config, data_of(config)))
    assert "on photographs its masks are not usable" in card(model).text
    write_provenance(model, Provenance("assembled", started_from={"SAM": "facebook/sam-vit-base"}))
    assert "**Not trained.**" in card(model).text


def test_results_are_in_the_card_only_when_they_were_measured_on_these_weights(model: Path) -> None:
    (model / "evaluation.json").write_text(json.dumps(evaluation(model)))
    made = card(model)
    assert made.data.model_name == "model"
    assert {result.metric_name for result in made.data.eval_results} == {
        f"{section}.{name}" for section, names in DEFINITIONS.items() if section != "sanity" for name in names
    }
    assert all(result.metric_value == 0.5 and result.dataset_split == "test" for result in made.data.eval_results)
    assert "| sanity.swap_rate | 0.500 |" in made.text

    weights = load_file(model / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, model / "model.safetensors", {"format": "pt"})
    with pytest.raises(PushError, match="evaluation.json: was measured on other weights than these"):
        card(model)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not the JSON of `uniref evaluate`"), ("{}", "KeyError"), ('{"settings": {}}', "this one has none")],
)
def test_results_that_are_none_are_refused(model: Path, text: str, message: str) -> None:
    (model / "evaluation.json").write_text(text)
    with pytest.raises(PushError, match=message):
        card(model)


def test_a_written_card_is_kept_and_gets_the_metadata_that_it_lacks(model: Path) -> None:
    (model / "README.md").write_text("---\nlicense: cc-by-4.0\ntags:\n- cats\n---\n# Mine\n\nAll about cats.\n")
    made = card(model, license=None)
    assert "All about cats." in made.text and "What is inside" not in made.text
    assert made.data.license == "cc-by-4.0" and made.data.pipeline_tag == "image-segmentation"
    assert made.data.tags[:2] == ["cats", "uniref"]


def test_a_rendered_card_and_a_placeholder_are_rendered_anew(model: Path) -> None:
    (model / "README.md").write_text(plan_push(model, "lab/elsewhere", "mit").card)
    assert "lab/elsewhere" not in card(model).content
    (model / "README.md").write_text("---\nlicense: mit\n---\n[More Information Needed]\n")
    assert "What is inside" in card(model).text


def test_an_adapters_card_names_base_rank_and_modules(tiny: Path, tmp_path: Path) -> None:
    made = card(adapter(tmp_path / "adapter", str(tiny)), base_model="lab/base")
    assert made.data.base_model == "lab/base"
    assert "| adapter | LORA, rank 4, alpha 8 |" in made.text and "| parameters | 64, stored" in made.text
    assert "| modules trained whole | `fusion` |" in made.text
    assert 'AutoProcessor.from_pretrained("lab/base")' in made.text


# -------------------------------------------------------------------------------------------------- what is left out
def test_only_files_of_a_model_repository_are_sent(model: Path) -> None:
    for name in ("optimizer.pt", "pytorch_model.bin", ".env", "train.log"):
        (model / name).write_text("x")
    plan = plan_push(model, "lab/model", "mit")
    assert plan.left_out == [".env", "optimizer.pt", "pytorch_model.bin", "train.log"]
    assert not set(plan.left_out) & set(plan.files)


def test_pushing_leaves_the_folder_as_it_was(model: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    plan_push(model, "lab/model", "mit")
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_processor_is_pushed_without_a_model_and_without_a_licence(tmp_path: Path) -> None:
    small_processor().save_pretrained(tmp_path / "processor")
    plan = plan_push(tmp_path / "processor", "lab/model")
    assert plan.kind == "processor" and plan.card == ""
    entries = json.loads(plan.files["processor_config.json"])
    assert entries["auto_map"] == {"AutoProcessor": "modeling_uniref_shim.UniRefProcessor"}
    assert entries["image_processor"]["auto_map"]["AutoImageProcessor"]["pil"].endswith(".UniRefImageProcessorPil")


# ---------------------------------------------------------------------------------------------------- what is refused
def without(name: str) -> Any:
    return lambda folder: (folder / name).unlink()


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def lose_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file(dict(list(weights.items())[3:]), folder / "model.safetensors", {"format": "pt"})


def hide_token(folder: Path) -> None:
    values = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**values, "note": "hf_abcdefghij0123456789"}))


def make_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def other_model(folder: Path) -> None:
    config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(config).save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "does not exist"),
        (empty, "holds neither a model"),
        (without("model.safetensors"), "no weights as safetensors"),
        (make_pickle, "pytorch_model.bin is a pickle and is not pushed"),
        (truncate, "does not load"),
        (lose_weights, "lacks 3 of the model's weights"),
        (other_model, "must be a UniRef model, got one of type 'bert'"),
        (hide_token, "tokenizer_config.json holds what looks like an access token"),
        (lambda folder: (folder / "provenance.json").write_text("[]"), "provenance.json: not what this package"),
    ],
)
def test_a_folder_that_is_no_good_is_refused_in_one_line(model: Path, damage: Any, message: str, capsys: Any) -> None:
    damage(model)
    assert main(["push", str(model), "lab/model", "--license", "mit", "--dry-run"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.strip().splitlines()[-1]
    assert "hf_abc" not in captured.err


@pytest.mark.parametrize("name", ["a/b/c", "", "lab/", "spaces in/it", "../up"])
def test_a_name_that_no_repository_has_is_refused(model: Path, name: str) -> None:
    with pytest.raises(PushError, match="`repo_id` must be NAMESPACE/NAME or NAME"):
        plan_push(model, name, "mit")


def test_an_unknown_licence_is_asked_for_and_not_guessed(model: Path) -> None:
    with pytest.raises(PushError, match="say it with `license`"):
        plan_push(model, "lab/model")
    with pytest.raises(PushError, match="`license` must be an identifier of the Hub"):
        plan_push(model, "lab/model", "Apache 2.0")


def test_an_adapter_for_a_folder_needs_the_id_of_its_base_model(tiny: Path, tmp_path: Path) -> None:
    folder = adapter(tmp_path / "adapter", str(tiny))
    with pytest.raises(PushError, match="must be the id of a repository.*`base_model`"):
        plan_push(folder, "lab/adapter", "mit")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(PushError, match="adapter_model.bin is a pickle"):
        plan_push(folder, "lab/adapter", "mit", "lab/base")


def test_a_base_model_that_is_out_of_reach_offline_is_named(tmp_path: Path, capsys: Any) -> None:
    folder = adapter(tmp_path / "adapter", "lab/never-downloaded")
    assert main(["push", str(folder), "lab/adapter", "--license", "mit", "--dry-run"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "base model 'lab/never-downloaded' cannot be resolved" in last
    assert "it is not in the cache, and HF_HUB_OFFLINE" in last


# ------------------------------------------------------------------------------------------------------- the command
def test_a_dry_run_shows_card_and_files_and_sends_nothing(model: Path, capsys: Any) -> None:
    assert main(["push", str(model), "lab/model", "--license", "mit", "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("---\n") and "# model" in captured.out
    assert "model.safetensors" in captured.err and "nothing was sent" in captured.err
    assert main(["push", str(model), "lab/model", "--license", "mit", "--dry-run", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["kind"] == "model" and result["files"]["model.safetensors"] > 10_000 and result["card"]
