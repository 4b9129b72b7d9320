"""`uniref convert`: every tensor of every released architecture finds its place, and nothing else is accepted."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModel, AutoProcessor, BertTokenizer

import transformers_uniref  # noqa: F401
from oracle_support.folder import find_oracle
from transformers_uniref import UniRefConfig, UniRefModel
from transformers_uniref.conversion.converter import (
    CheckpointError,
    convert_checkpoint,
    convert_state_dict,
    load_original_checkpoint,
    variant_config,
)
from transformers_uniref.conversion.variants import infer_config, parse_overrides
from transformers_uniref.frontends.cli.main import main

ORACLE = find_oracle()
FULL = [name for name in ORACLE.manifest_names() if name.startswith("full_")]
HEADS = {"text_config.num_attention_heads": 4}
COUNTERS = ("num_batches_tracked", "criterion._iter")

State = dict[str, Tensor]


def hollow_state(manifest: str, device: str = "cpu", generated_only: bool = False) -> State:
    """Names, shapes and types of an original checkpoint; the values of a tensor share one number in memory."""
    return {
        entry["name"]: torch.zeros((), dtype=getattr(torch, entry["dtype"]), device=device).expand(entry["shape"])
        for entry in ORACLE.manifest(manifest)["entries"]
        if not generated_only or entry.get("rule", "gen") == "gen"
    }


def meta_model(config: Any) -> Any:
    with torch.device("meta"):
        return AutoModel.from_config(config)


def save(state: Any, path: Path) -> Path:
    torch.save(state, path)
    return path


# --- every tensor of the released architectures


@pytest.mark.parametrize("generated_only", [False, True], ids=["complete", "without counters and tables"])
@pytest.mark.parametrize("name", FULL)
def test_every_tensor_of_a_released_checkpoint_is_mapped_or_dropped_with_a_reason(
    name: str, generated_only: bool
) -> None:
    original = hollow_state(name, "meta", generated_only)
    target = meta_model(variant_config(original)).state_dict()
    converted, account = convert_state_dict(original, target)
    assert set(account.mapped) | set(account.dropped) == set(original)
    assert not set(account.mapped) & set(account.dropped)
    assert {name: tensor.shape for name, tensor in converted.items()} == {
        name: tensor.shape for name, tensor in target.items()
    }
    produced = [target for targets in account.mapped.values() for target in targets]
    assert len(produced) == len(set(produced))
    assert set(produced) | set(account.created) == set(target)
    assert all(reason for reason in account.dropped.values())
    assert bool(account.created) == generated_only or not any(key.endswith(COUNTERS) for key in original)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("full_r50_image", {"num_queries": 300, "encoder_layers": 6, "decoder_layers": 6, "num_labels": 1}),
        ("full_r50_pretrain", {"num_labels": 365, "boxinst_loss": True, "use_language_references": False}),
        ("full_r50_image_det_rec_no_mask_ref", {"use_mask_references": False, "boxinst_loss": False}),
        ("full_swin-l_video", {"fusion_heads": 8, "fusion_head_dim": 256, "num_points": 4, "ffn_dim": 2048}),
    ],
)
def test_the_variant_is_read_off_the_tensors(name: str, expected: dict[str, Any]) -> None:
    config = variant_config(hollow_state(name, "meta"))
    assert {option: getattr(config, option) for option in expected} == expected


def test_the_released_r50_is_the_default_configuration() -> None:
    assert variant_config(hollow_state("full_r50_video", "meta")).to_dict() == UniRefConfig().to_dict()


def test_swin_l_is_recognised_with_its_window_and_heads() -> None:
    backbone = variant_config(hollow_state("full_swin-l_pretrain", "meta")).backbone_config
    assert (backbone.model_type, backbone.embed_dim, backbone.window_size) == ("swin", 192, 12)
    assert (backbone.depths, backbone.num_heads) == ([2, 2, 18, 2], [6, 12, 24, 48])
    assert backbone.drop_path_rate == 0.3


def test_sam_h_is_recognised_with_its_windows_and_heads() -> None:
    config = variant_config(hollow_state("full_sam_h", "meta"))
    vision = config.vision_config
    assert (config.model_type, config.d_model, config.image_size) == ("uniref_sam", 256, 1024)
    assert (vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads) == (1280, 32, 16)
    assert (vision.window_size, vision.global_attn_indexes) == (14, [7, 15, 23, 31])
    assert config.mask_decoder_config.layer_norm_eps == 1e-5  # SAM's own code has PyTorch's default there


def test_tensors_that_a_sam_checkpoint_lacks_are_listed() -> None:
    state = hollow_state("full_sam_h", "meta")
    del state["model.sam.image_encoder.blocks.3.attn.qkv.bias"]
    with pytest.raises(CheckpointError, match=r"lacks 1 .*visual_encoder.backbone.layers.3.attn.qkv.bias"):
        convert_state_dict(state, meta_model(variant_config(state)).state_dict())
    del state["model.sam.image_encoder.pos_embed"]
    with pytest.raises(CheckpointError, match="no sam.image_encoder.pos_embed"):
        variant_config(state)


def test_a_roberta_text_encoder_is_told_from_bert() -> None:
    state = hollow_state("full_r50_image", "meta")
    assert variant_config(state).text_config.model_type == "bert"
    for name, shape in (("word", (50265, 768)), ("position", (514, 768)), ("token_type", (1, 768))):
        state[f"text_encoder.embeddings.{name}_embeddings.weight"] = torch.empty(shape, device="meta")
    config = variant_config(state)
    assert (config.text_config.model_type, config.text_config.pad_token_id) == ("roberta", 1)
    convert_state_dict(state, meta_model(config).state_dict())


def test_position_tables_of_older_text_encoders_are_accepted() -> None:
    state = hollow_state("full_r50_image", "meta")
    state["text_encoder.embeddings.position_ids"] = torch.empty(1, 512, dtype=torch.int64, device="meta")
    _, account = convert_state_dict(state, meta_model(variant_config(state)).state_dict())
    assert "text_encoder.embeddings.position_ids" in account.dropped


def test_joined_projections_are_cut_in_the_order_query_key_value() -> None:
    state = hollow_state("small_r50_boxinst")
    name = "detr.detr.transformer.decoder.layers.1.self_attn.in_proj_weight"
    state[name] = torch.arange(768.0)[:, None].expand(768, 256)
    converted, _ = convert_state_dict(state, meta_model(variant_config(state)).state_dict())
    for index, part in enumerate("qkv"):
        weight = converted[f"transformer.decoder.layers.1.self_attn.{part}_proj.weight"]
        assert weight[:, 0].tolist() == list(range(256 * index, 256 * (index + 1)))


# --- what is refused


def test_missing_tensors_are_listed() -> None:
    state = hollow_state("small_r50_boxinst", "meta")
    target = meta_model(variant_config(state)).state_dict()
    del state["detr.mask_conv.bias"]
    with pytest.raises(CheckpointError, match=r"lacks 1 of the model's \d+ tensors: mask_head.mask_conv.bias"):
        convert_state_dict(state, target)


def test_a_missing_layer_is_noticed() -> None:
    state = hollow_state("full_r50_pretrain", "meta")
    state = {name: tensor for name, tensor in state.items() if ".encoder.layers.2." not in name}
    with pytest.raises(CheckpointError, match=r"encoder\.layers\.\* is numbered \[0, 1, 3, 4, 5\]"):
        variant_config(state)


def test_unknown_tensors_are_listed() -> None:
    state = hollow_state("small_r50_boxinst", "meta")
    target = meta_model(variant_config(state)).state_dict()
    state["detr.detr.novelty.weight"] = torch.empty(3, device="meta")
    with pytest.raises(CheckpointError, match="no UniRef checkpoint has: detr.detr.novelty.weight"):
        convert_state_dict(state, target)


def test_a_tensor_of_another_shape_is_named_with_both_shapes() -> None:
    state = hollow_state("small_r50_boxinst", "meta")
    target = meta_model(variant_config(state)).state_dict()
    state["detr.mask_conv.bias"] = torch.empty(9, device="meta")
    with pytest.raises(CheckpointError, match=r"detr.mask_conv.bias \(9,\) for mask_head.mask_conv.bias \(8,\)"):
        convert_state_dict(state, target)


def test_two_copies_of_one_tensor_have_to_agree() -> None:
    state = hollow_state("small_r50_boxinst")
    target = meta_model(variant_config(state)).state_dict()
    name = "detr.detr.transformer.decoder.class_embed.1.bias"
    _, account = convert_state_dict(state, target)
    assert name in account.dropped
    state[name] = torch.ones(7)
    with pytest.raises(CheckpointError, match="class_embed.1.bias .* differ here"):
        convert_state_dict(state, target)


def test_a_single_copy_under_the_second_name_serves() -> None:
    state = hollow_state("small_r50_boxinst")
    target = meta_model(variant_config(state)).state_dict()
    state["detr.detr.transformer.decoder.class_embed.1.bias"] = torch.arange(7.0)
    del state["detr.detr.class_embed.1.bias"]
    converted, _ = convert_state_dict(state, target)
    assert converted["class_heads.1.bias"].tolist() == list(range(7))


def _text_file(folder: Path) -> Path:
    path = folder / "notes.pth"
    path.write_text("these are no weights\n" * 100)
    return path


def _random_pickle(folder: Path) -> Path:
    path = folder / "objects.pth"
    path.write_bytes(pickle.dumps({"model": Path("somewhere")}))
    return path


def _saved_objects(folder: Path) -> Path:
    return save({"model": Path("somewhere")}, folder / "saved_objects.pth")


def _truncated(folder: Path) -> Path:
    path = save({"model": {"weight": torch.zeros(100_000)}}, folder / "whole.pth")
    path.write_bytes(path.read_bytes()[:200_000])
    return path


def _safetensors(folder: Path) -> Path:
    save_file({"weight": torch.zeros(3)}, folder / "other.safetensors")
    return folder / "other.safetensors"


def _empty_file(folder: Path) -> Path:
    (folder / "empty.pth").touch()
    return folder / "empty.pth"


def _other_model(folder: Path) -> Path:
    return save({"model": {"head.weight": torch.zeros(3)}}, folder / "other.pth")


def _list(folder: Path) -> Path:
    return save([torch.zeros(3)], folder / "list.pth")


def _numbers(folder: Path) -> Path:
    return save({"model": {"epoch": 3}}, folder / "numbers.pth")


def _no_file(folder: Path) -> Path:
    return folder / "absent.pth"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_text_file, "notes.pth"),
        (_random_pickle, "objects.pth"),
        (_saved_objects, "Python objects besides tensors"),
        (_truncated, "truncated or of another format|not a file written by torch.save"),
        (_safetensors, "other.safetensors"),
        (_empty_file, "empty.pth"),
        (_other_model, "not a UniRef checkpoint: it has no detr.detr.transformer.level_embed.*head.weight"),
        (_list, "got a list"),
        (_numbers, "'epoch' is none"),
        (_no_file, "no such file"),
    ],
)
def test_a_file_that_is_no_uniref_checkpoint_is_refused_in_one_line(make: Any, message: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=message) as caught:
        convert_checkpoint(path, tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_both_layouts_of_a_saved_file_are_read(tmp_path: Path) -> None:
    state = {"a": torch.arange(3.0)}
    wrapped = save({"model": state, "iteration": 5, "optimizer": {"state": {}}}, tmp_path / "wrapped.pth")
    bare = save(state, tmp_path / "bare.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for path in (wrapped, bare, tmp_path / "old.pth"):
        assert load_original_checkpoint(path)["a"].tolist() == [0, 1, 2]


# --- options given by name


def test_attention_heads_of_an_unusual_text_encoder_have_to_be_given() -> None:
    state = hollow_state("small_r50", "meta")
    with pytest.raises(CheckpointError, match="96 wide.*text_config.num_attention_heads in `overrides`"):
        variant_config(state)
    assert variant_config(state, HEADS).text_config.num_attention_heads == 4


def test_settings_are_parsed_as_json_where_they_are_json() -> None:
    given = ["a.b=4", "c=true", "d=True", "e=[1, 2]", "f=ota", "g=null", "h=0.5", "i=x=y"]
    expected = {"a.b": 4, "c": True, "d": True, "e": [1, 2], "f": "ota", "g": None, "h": 0.5, "i": "x=y"}
    assert parse_overrides(given) == expected
    for wrong in ("text_config", "=4"):
        with pytest.raises(CheckpointError, match="expected NAME=VALUE"):
            parse_overrides([wrong])


def test_any_option_can_be_set_by_its_dotted_name() -> None:
    settings = parse_overrides(
        ["auxiliary_mask_losses=true", "backbone_config.drop_path_rate=0.1", "text_config.hidden_dropout_prob=0"]
    )
    config = variant_config(hollow_state("full_swin-l_video", "meta"), settings)
    assert config.auxiliary_mask_losses
    assert config.backbone_config.drop_path_rate == 0.1
    assert config.text_config.hidden_dropout_prob == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text_config.num_heads": 4}, "no such option; near it: text_config.num_"),
        ({"auxilary_mask_losses": True}, "near it: auxiliary_mask_losses"),
        ({"d_model.x": 1}, "d_model has no options"),
        ({"num_queries": "many"}, "`overrides` num_queries: refused by the configuration"),
        ({"matching": "best"}, "`overrides` matching: refused by the configuration"),
    ],
)
def test_an_option_that_does_not_exist_or_fit_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        variant_config(hollow_state("full_r50_video", "meta"), settings)


def test_a_setting_that_changes_a_size_does_not_pass_unnoticed() -> None:
    state = hollow_state("full_r50_video", "meta")
    config = variant_config(state, {"ffn_dim": 1024})
    with pytest.raises(CheckpointError, match="tensors do not fit the model"):
        convert_state_dict(state, meta_model(config).state_dict())


def test_an_inferred_configuration_is_plain_data() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in hollow_state("full_swin-l_video", "meta").items()}
    assert json.loads(json.dumps(infer_config(shapes))) == infer_config(shapes)


# --- the folder


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the detection stage: no text, no masks, seven classes."""
    return save({"model": hollow_state("small_r50_boxinst")}, tmp_path_factory.mktemp("original") / "detector.pth")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a text encoder of 500 tokens."""
    return save({"model": hollow_state("small_r50")}, tmp_path_factory.mktemp("original") / "reader.pth")


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "dog", *(f"word{i}" for i in range(493))]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def test_the_folder_loads_with_nothing_missing_or_unexpected(
    reader: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    account = convert_checkpoint(reader, tmp_path / "deep" / "model", tokenizer_folder, HEADS)
    assert account.output_dir == str(tmp_path / "deep" / "model")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]
    model, info = AutoModel.from_pretrained(account.output_dir, output_loading_info=True)
    assert type(model) is UniRefModel
    assert not any(info.values())
    processor = AutoProcessor.from_pretrained(account.output_dir)
    assert processor(text="Red dog!")["input_ids"][0, :4].tolist() == [2, 5, 6, 3]
    assert processor.text_length == model.config.text_length
    assert processor.image_processor.size == {"shortest_edge": 800, "longest_edge": 1333}


def test_a_folder_without_tokenizer_and_one_without_text_load_as_well(detector: Path, tmp_path: Path) -> None:
    convert_checkpoint(detector, tmp_path / "model")
    model, info = AutoModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(info.values())
    assert model.config.num_labels == 7
    assert AutoProcessor.from_pretrained(tmp_path / "model").tokenizer is None


def test_a_tokenizer_of_another_text_encoder_is_refused(reader: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    state = load_original_checkpoint(reader)
    name = "text_encoder.embeddings.word_embeddings.weight"
    state[name] = torch.zeros(()).expand(501, 96)
    with pytest.raises(CheckpointError, match="has 500 tokens, the checkpoint 501"):
        convert_checkpoint(save(state, tmp_path / "wider.pth"), tmp_path / "model", tokenizer_folder, HEADS)
    assert not (tmp_path / "model").exists()


def test_a_tokenizer_that_cannot_be_loaded_names_the_option(
    reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.snapshot_download", no_network)
    for source, named in ((None, "google-bert/bert-base-uncased"), (tmp_path / "nowhere", "nowhere")):
        with pytest.raises(
            CheckpointError, match=rf'{named}.*`text_encoder` takes it from a folder, "none" there makes'
        ):
            convert_checkpoint(reader, tmp_path / "model", source, HEADS)
    assert not list(tmp_path.iterdir())


def test_a_text_encoder_for_a_model_without_text_is_refused(
    detector: Path, tokenizer_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="has no text encoder; leave it out"):
        convert_checkpoint(detector, tmp_path / "model", tokenizer_folder)


def test_only_a_model_is_overwritten_and_only_on_request(detector: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    output.mkdir()
    (output / "holiday.txt").write_text("precious")
    with pytest.raises(CheckpointError, match="not empty; give `overwrite`"):
        convert_checkpoint(detector, output)
    with pytest.raises(CheckpointError, match="holds other things than a model"):
        convert_checkpoint(detector, output, overwrite=True)
    (output / "holiday.txt").unlink()
    convert_checkpoint(detector, output)
    (output / "old_file.bin").touch()
    convert_checkpoint(detector, output, overwrite=True)
    assert sorted(path.name for path in output.iterdir()) == [
        "config.json",
        "model.safetensors",
        "processor_config.json",
        "provenance.json",
    ]
    assert list(tmp_path.iterdir()) == [output]
    with pytest.raises(CheckpointError, match="is a file"):
        convert_checkpoint(detector, output / "config.json")


def test_a_failure_while_writing_leaves_nothing_behind(
    detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(transformers_uniref.UniRefProcessor, "save_pretrained", full_disk)
    with pytest.raises(OSError, match="No space left"):
        convert_checkpoint(detector, tmp_path / "model")
    assert not list(tmp_path.iterdir())


# --- the command


def test_the_command_prints_the_account(detector: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["convert", str(detector), str(tmp_path / "model"), "--set", "matching=hungarian", "--json"])
    printed = capsys.readouterr()
    account = json.loads(printed.out)
    original = hollow_state("small_r50_boxinst")
    assert code == 0
    assert set(account["mapped"]) | set(account["dropped"]) == set(original)
    assert account["output_dir"] == str(tmp_path / "model")
    assert f"mapped {len(account['mapped'])} tensors" in printed.err
    assert "a second name of the same tensor" in printed.err
    assert AutoModel.from_pretrained(tmp_path / "model").config.matching == "hungarian"


def test_the_command_answers_a_mistake_with_one_line_and_code_2(
    reader: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        [_text_file(tmp_path), tmp_path / "model"],
        [reader, tmp_path / "model", "--text-encoder", "none"],
        [reader, tmp_path / "model", "--set", "text_config.heads=4"],
    ):
        assert main(["convert", *map(str, arguments)]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("uniref: error: ")
        assert printed.err.count("\n") == 1
    assert not (tmp_path / "model").exists()
