"""Adapters: what they train, what they leave alone, and how they are saved, loaded, merged, swapped and refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

peft = pytest.importorskip("peft")

from transformers import AutoModel, AutoProcessor, pipeline  # noqa: E402

from cli_support import save_tiny_checkpoint  # noqa: E402
from model_support import picture, sentence, small_model  # noqa: E402
from noise import CLIP, MASKS, assert_same_clip, assert_same_output  # noqa: E402
from sam_support import sam_model, sam_processor  # noqa: E402
from transformers_uniref.adapters import (  # noqa: E402
    AdapterError,
    adapter_config,
    adapter_presets,
    merge_adapter,
    save_adapter,
)
from transformers_uniref.adapters.presets import config_for  # noqa: E402
from transformers_uniref.frontends.cli.main import main  # noqa: E402
from transformers_uniref.training.config.loop import AdapterSection  # noqa: E402
from transformers_uniref.training.model.freezing import frozen_by_preset  # noqa: E402

SWIN = {
    "model_type": "swin",
    "embed_dim": 12,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 2, 3, 3],
    "window_size": 4,
    "image_size": 64,
}
MODELS = {
    "resnet": lambda: small_model(),
    "swin": lambda: small_model(backbone_config=SWIN),
    "sam": lambda: sam_model(),
}


def inputs_of(model: Any) -> dict[str, torch.Tensor]:
    """A picture, a sentence about it, and an annotated example."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 10:40, 8:50] = 1
    inputs = {
        "pixel_values": picture(1, 64, 64),
        "input_ids": sentence(1, 6) % model.config.text_config.vocab_size,
        "reference_pixel_values": picture(1, 64, 64, seed=1)[:, None],
        "reference_masks": mask,
    }
    return {name: t.to(model.dtype) if t.is_floating_point() else t for name, t in inputs.items()}


@torch.no_grad()
def answer(model: Any) -> Any:
    return model.eval()(**inputs_of(model))


def assert_other_answer(actual: Any, expected: Any) -> None:
    """Other masks, by much more than noise."""
    apart = (actual.pred_masks - expected.pred_masks).abs().max()
    assert apart > 100 * MASKS * expected.pred_masks.abs().max()


def assert_same_weights(actual: Any, expected: Any) -> None:
    """Bit for bit, by the names of the parameters."""
    ours, theirs = actual.state_dict(), expected.state_dict()
    assert ours.keys() == theirs.keys()
    assert not [name for name, value in theirs.items() if not torch.equal(ours[name], value)]


def trained_names(model: Any) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def with_adapter(model: Any, preset: str = "lora", seed: int = 1, **changes: Any) -> Any:
    """`model` with an adapter whose every tensor has moved, its running statistics too."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.add_adapter(adapter_config(preset, model, **changes))
    stir_adapter(model, seed)
    return model


def stir_adapter(model: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    trained = trained_names(model)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if name in trained or (".modules_to_save." in name and name.endswith("running_mean")):
                value.add_(0.05 * torch.randn(value.shape, generator=generator))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base` and `adapter` of every family, as a user has them."""
    root = tmp_path_factory.mktemp("adapters")
    for name, make in MODELS.items():
        make().save_pretrained(root / name)
        model = with_adapter(AutoModel.from_pretrained(root / name))
        save_adapter(model, root / f"{name}-adapter")
    sam_processor().save_pretrained(root / "sam")
    return root


# What is trained


def kinds(names: set[str]) -> set[str]:
    """Names with layer numbers as #, without the last part."""
    return {re.sub(r"\.\d+", ".#", name.rsplit(".", 1)[0]) for name in names}


LORA = (".lora_A.default", ".lora_B.default")
ATTENTION = {
    f"transformer.{part}.layers.#.{name}"
    for part, names in {
        "encoder": ("self_attn.value_proj", "self_attn.output_proj", "linear1", "linear2"),
        "decoder": (
            *(f"self_attn.{letter}_proj" for letter in "qkv"),
            "self_attn.out_proj",
            "cross_attn.value_proj",
            "cross_attn.output_proj",
            "linear1",
            "linear2",
        ),
    }.items()
    for name in names
}
TEXT = {
    f"language_encoder.text_encoder.encoder.layer.#.attention.{name}"
    for name in ("self.query", "self.key", "self.value", "output.dense")
}
SWIN_ATTENTION = {
    f"visual_encoder.backbone.swin.encoder.layers.#.blocks.#.attention.{letter}_proj" for letter in "qkvo"
}
SAM_ATTENTION = {"visual_encoder.backbone.layers.#.attn.qkv"}
REFERENCES = {"fusion", "mask_encoder", "language_encoder.projection", "language_encoder.layer_norm"}


@pytest.mark.parametrize(
    ("family", "layers", "copies"),
    [
        ("resnet", ATTENTION | TEXT, REFERENCES | {"class_heads.#", "box_heads.#", "mask_head"}),
        ("swin", ATTENTION | TEXT | SWIN_ATTENTION, REFERENCES | {"class_heads.#", "box_heads.#", "mask_head"}),
        ("sam", TEXT | SAM_ATTENTION, REFERENCES | {"mask_decoder"}),
    ],
)
def test_lora_trains_these_parameters_and_no_others(family: str, layers: set[str], copies: set[str]) -> None:
    model = MODELS[family]()
    model.add_adapter(adapter_config("lora", model))
    trained = trained_names(model)
    added = {name for name in trained if ".lora_" in name}
    assert kinds(added) == {layer + part for layer in layers for part in LORA}
    copied = {re.sub(r"\.\d+", ".#", name.split(".modules_to_save.")[0]) for name in trained - added}
    assert copied == copies
    for name in trained - added:  # whole modules, all of their parameters
        assert model.get_parameter(name.replace("modules_to_save.default", "original_module")) is not None
    originals = {name for name, _ in model.named_parameters() if ".original_module." in name}
    assert {name.replace("original_module", "modules_to_save.default") for name in originals} == trained - added


def test_dora_adds_magnitudes_to_the_same_layers() -> None:
    model = MODELS["sam"]()
    model.add_adapter(adapter_config("dora", model))
    added = kinds({name for name in trained_names(model) if ".lora_" in name})
    parts = (*LORA, ".lora_magnitude_vector.default")
    assert added == {layer + part for layer in TEXT | SAM_ATTENTION for part in parts}


@pytest.mark.parametrize("family", MODELS)
def test_the_light_adapter_copies_only_class_heads_and_a_norm(family: str) -> None:
    model = MODELS[family]()
    model.add_adapter(adapter_config("lora-light", model))
    trained = trained_names(model)
    copied = {name.split(".modules_to_save.")[0] for name in trained if ".lora_" not in name}
    assert {re.sub(r"\.\d+", ".#", name) for name in copied} <= {"class_heads.#", "language_encoder.layer_norm"}
    assert any("fusion.q_proj.lora_A" in name for name in trained)


def test_training_moves_the_adapter_and_leaves_the_base_bit_for_bit() -> None:
    model = MODELS["resnet"]()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.add_adapter(adapter_config("lora", model))
    start = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    mask = torch.zeros(1, 64, 64)
    mask[:, 16:48, 16:48] = 1
    label = {"boxes": torch.tensor([[0.5] * 4]), "masks": mask, "class_labels": torch.zeros(1, dtype=torch.long)}
    for _ in range(2):  # the first step moves lora_B, which starts at zero, the second lora_A
        optimizer.zero_grad()
        model(**inputs_of(model), labels=[label]).loss.backward()
        optimizer.step()
    moved = dict(model.named_parameters())
    still = [name for name, value in start.items() if torch.equal(moved[name], value)]
    assert not still
    after = model.state_dict()
    for name, value in before.items():
        places = [n for n in after if n.replace(".base_layer.", ".").replace(".original_module.", ".") == name]
        assert len(places) == 1 and torch.equal(after[places[0]], value), name


def test_the_names_of_the_configuration_are_those_of_the_presets() -> None:
    for name in adapter_presets():
        assert adapter_config(name, MODELS["sam"]()).r == 8
    for name in ("", *adapter_presets()):
        assert AdapterSection(preset=name).preset == name
    import typing

    assert set(typing.get_args(typing.get_type_hints(AdapterSection)["preset"])) == {"", *adapter_presets()}


def test_a_preset_takes_changes_and_any_other_configuration_is_accepted() -> None:
    model = MODELS["resnet"]()
    assert adapter_config("lora", model, r=2, lora_alpha=4).r == 2
    values = {"peft_type": "LOHA", "r": 2, "target_modules": ["linear1"], "base_model_name_or_path": "x"}
    config = config_for(model, values=values)
    assert type(config).__name__ == "LoHaConfig"
    model.add_adapter(config)
    factors = ("w1_a", "w1_b", "w2_a", "w2_b")
    layers = [f"transformer.{part}.layers.#.linear1" for part in ("encoder", "decoder")]
    assert kinds(trained_names(model)) == {f"{layer}.hada_{factor}" for layer in layers for factor in factors}


@pytest.mark.parametrize(
    ("preset", "values", "message"),
    [
        ("qlora", {}, "`name` must be one of lora, dora.*, got 'qlora'"),
        ("lora", {"rank": 4}, "refused by LoraConfig.*rank"),
        ("lora", {"peft_type": "IA3"}, "name no preset"),
        ("", {"r": 4}, "peft_type: got None; accepted: .*LORA"),
    ],
)
def test_configurations_that_make_no_sense_are_refused(preset: str, values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_for(MODELS["sam"](), preset, values)


def test_another_model_has_no_preset() -> None:
    with pytest.raises(ValueError, match="must be a UniRefModel or UniRefSamModel, got Linear"):
        adapter_config("lora", torch.nn.Linear(2, 2))


# Saved and loaded


@pytest.mark.parametrize("family", MODELS)
def test_an_adapter_loads_through_the_auto_class_and_through_peft(folders: Path, family: str) -> None:
    model = with_adapter(AutoModel.from_pretrained(folders / family))
    expected = answer(model)
    folder = folders / f"{family}-adapter"
    assert {path.name for path in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    base = AutoModel.from_pretrained(folders / family)
    assert_other_answer(answer(base), expected)
    loaded, account = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert type(loaded) is type(base)
    assert not account["missing_keys"] and not account["unexpected_keys"]
    assert_same_weights(loaded, model)
    assert_same_output(answer(loaded), expected)
    assert_same_output(answer(peft.PeftModel.from_pretrained(base, folder)), expected)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("preset", ["lora", "dora"])
def test_merging_changes_no_output(folders: Path, tmp_path: Path, family: str, preset: str) -> None:
    model = with_adapter(AutoModel.from_pretrained(folders / family, dtype=torch.float64), preset)
    expected = answer(model)
    save_adapter(model, tmp_path / "adapter")
    merged = merge_adapter(tmp_path / "adapter", dtype=torch.float64)
    assert not any("lora" in name or "original_module" in name for name in merged.state_dict())
    assert_same_output(answer(merged), expected)
    merged.save_pretrained(tmp_path / "merged", save_original_format=False)
    assert_same_output(answer(AutoModel.from_pretrained(tmp_path / "merged", dtype=torch.float64)), expected)


def test_adapters_are_swapped_at_run_time_on_one_base(folders: Path, tmp_path: Path) -> None:
    base = AutoModel.from_pretrained(folders / "sam")
    plain = answer(base)
    other = with_adapter(AutoModel.from_pretrained(folders / "sam"), seed=7, r=3)
    other_answer = answer(other)
    save_adapter(other, tmp_path / "other")
    base.load_adapter(str(folders / "sam-adapter"), adapter_name="cat")
    cat = answer(base)
    base.load_adapter(str(tmp_path / "other"), adapter_name="judo")
    base.set_adapter("judo")
    assert_same_output(answer(base), other_answer)
    base.set_adapter("cat")
    assert_same_output(answer(base), cat)
    base.disable_adapters()
    assert_same_output(answer(base), plain)
    base.enable_adapters()
    base.set_adapter("judo")
    assert_same_output(answer(base), other_answer)
    assert_other_answer(other_answer, cat)
    base.delete_adapter("judo")
    assert list(base.peft_config) == ["cat"]


def test_adapters_that_cannot_share_a_base_are_told_so(folders: Path, tmp_path: Path) -> None:
    light = with_adapter(AutoModel.from_pretrained(folders / "sam"), "lora-light")
    save_adapter(light, tmp_path / "light")
    model = AutoModel.from_pretrained(folders / "sam-adapter")
    expected = answer(model)
    with pytest.raises(AdapterError, match="light cannot join default in one model: of fusion and"):
        model.load_adapter(str(tmp_path / "light"), adapter_name="light")
    assert_same_output(answer(model), expected)
    with pytest.raises(AdapterError, match="cannot join default"):
        light.load_adapter(str(folders / "sam-adapter"), adapter_name="heavy")


def test_a_video_session_follows_objects_with_an_adapter(folders: Path) -> None:
    from sam_support import clip

    frames, masks = clip()
    processor = sam_processor()

    def follow(model: Any) -> list[Any]:
        session = processor.init_video_session(video=frames)
        processor.add_mask_prompt(session, 0, [1], masks[:1])
        return list(model.eval().propagate_in_video_iterator(session))

    adapted = follow(AutoModel.from_pretrained(folders / "sam-adapter"))
    merged = follow(merge_adapter(folders / "sam-adapter"))
    plain = follow(AutoModel.from_pretrained(folders / "sam"))
    assert_same_clip(adapted, merged)
    assert not torch.allclose(adapted[-1].pred_masks, plain[-1].pred_masks, atol=CLIP)


# In pipelines and on the command line


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`base` with its processor, and an adapter of it that was saved with one."""
    root = tmp_path_factory.mktemp("tiny")
    save_tiny_checkpoint(root / "base")
    model = with_adapter(AutoModel.from_pretrained(root / "base"))
    save_adapter(model, root / "adapter", AutoProcessor.from_pretrained(root / "base"))
    return root


def test_pipelines_take_an_adapter_folder(tiny: Path) -> None:
    from PIL import Image

    photo = Image.new("RGB", (80, 60), (90, 20, 200))
    build: Any = pipeline
    adapted = build("referring-segmentation", model=str(tiny / "adapter"))(photo, text="the red star")
    merged = build(
        "referring-segmentation",
        model=merge_adapter(tiny / "adapter"),
        processor=AutoProcessor.from_pretrained(tiny / "adapter"),
    )(photo, text="the red star")
    plain = build("referring-segmentation", model=str(tiny / "base"))(photo, text="the red star")
    with_it, merged_into, without = (_scores(result)[0] for result in (adapted, merged, plain))
    assert with_it == pytest.approx(merged_into, abs=1e-5) and abs(with_it - without) > 1e-5


def test_the_command_line_takes_an_adapter_folder_and_merges_it(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.new("RGB", (80, 60), (90, 20, 200)).save(tmp_path / "photo.png")
    segment = ["segment", str(tmp_path / "photo.png"), "--text", "the red star", "--json"]
    assert main([*segment, "--model", str(tiny / "adapter"), "--output", str(tmp_path / "adapted")]) == 0
    adapted = json.loads(capsys.readouterr().out)
    assert main(["export", str(tiny / "adapter")]) == 2
    assert "--output is missing" in capsys.readouterr().err
    assert main(["export", str(tiny / "adapter"), "--output", str(tmp_path / "merged"), "--json"]) == 0
    assert "model.safetensors" in json.loads(capsys.readouterr().out)["files"]
    assert main(["export", str(tiny / "adapter"), "--output", str(tmp_path / "merged")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*segment, "--model", str(tmp_path / "merged"), "--output", str(tmp_path / "out")]) == 0
    merged = json.loads(capsys.readouterr().out)
    assert _scores(adapted) == pytest.approx(_scores(merged), abs=1e-5)


def _scores(result: Any) -> list[float]:
    """All numbers called score, wherever they are."""
    if isinstance(result, dict):
        return [s for name, part in result.items() for s in ([float(part)] if name == "score" else _scores(part))]
    return [s for part in result for s in _scores(part)] if isinstance(result, list) else []


# Refused


def test_an_adapter_for_another_base_names_both_and_what_differs(folders: Path, tmp_path: Path) -> None:
    wide = small_model(ffn_dim=64)
    wide.save_pretrained(tmp_path / "wide")
    model = AutoModel.from_pretrained(tmp_path / "wide")
    before = sorted(model.state_dict())
    with pytest.raises(AdapterError) as caught:
        model.load_adapter(str(folders / "resnet-adapter"))
    text = str(caught.value)
    assert (
        str(folders / "resnet-adapter") in text and str(tmp_path / "wide") in text and str(folders / "resnet") in text
    )
    assert "linear1.lora_B (48, 8) is for other sizes than the layer's (64, 64)" in text
    assert sorted(model.state_dict()) == before
    with pytest.raises(AdapterError, match="does not fit"):
        merge_adapter(folders / "resnet-adapter", base=model)


def test_an_adapter_of_another_backbone_is_refused_through_the_auto_class(folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(folders / "swin-adapter", folder)
    values = json.loads((folder / "adapter_config.json").read_text())
    values["base_model_name_or_path"] = str(folders / "resnet")
    (folder / "adapter_config.json").write_text(json.dumps(values))
    with pytest.raises(AdapterError, match="backbone.*attention.k_proj is not there"):
        AutoModel.from_pretrained(folder)


def test_a_pickle_is_refused_unless_it_is_asked_for(folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(folders / "sam-adapter", folder)
    torch.save(load_file(folder / "adapter_model.safetensors"), folder / "adapter_model.bin")
    (folder / "adapter_model.safetensors").unlink()
    for load in (
        lambda: AutoModel.from_pretrained(folder),
        lambda: AutoModel.from_pretrained(folders / "sam").load_adapter(str(folder)),
        lambda: merge_adapter(folder),
    ):
        with pytest.raises(AdapterError, match="holds a pickle.*use_safetensors=False"):
            load()
    asked = AutoModel.from_pretrained(folders / "sam")
    asked.load_adapter(str(folder), use_safetensors=False)
    loaded = AutoModel.from_pretrained(folders / "sam-adapter")
    assert_same_weights(asked, loaded)
    assert_same_output(answer(asked), answer(loaded))


def test_an_adapter_without_weights_or_with_damaged_ones_is_refused(folders: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    shutil.copytree(folders / "sam-adapter", folder)
    (folder / "adapter_model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(AdapterError, match="are damaged"):
        AutoModel.from_pretrained(folder)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(AdapterError, match="has no weights"):
        AutoModel.from_pretrained(folder)


def test_mistakes_with_adapters_are_one_line_on_the_command_line(
    tiny: Path, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")

    def refusal(folder: Path) -> str:
        arguments = ["segment", str(tmp_path / "photo.png"), "--text", "star", "--model", str(folder)]
        assert main([*arguments, "--output", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        return line

    lost = tmp_path / "lost"
    shutil.copytree(tiny / "adapter", lost)
    values = json.loads((lost / "adapter_config.json").read_text())
    (lost / "adapter_config.json").write_text(json.dumps(values | {"base_model_name_or_path": "nobody/no-such-model"}))
    line = refusal(lost)
    assert f"--model {lost} is an adapter for nobody/no-such-model, which cannot be loaded" in line
    (lost / "adapter_config.json").write_text(json.dumps(values | {"base_model_name_or_path": str(folders / "resnet")}))
    assert "does not fit" in refusal(lost)
    (lost / "adapter_config.json").write_text("{")
    assert "no valid JSON" in refusal(lost)
    pickled = tmp_path / "pickled"
    shutil.copytree(tiny / "adapter", pickled)
    torch.save({}, pickled / "adapter_model.bin")
    (pickled / "adapter_model.safetensors").unlink()
    assert "holds a pickle" in refusal(pickled)
    assert not (tmp_path / "out").exists()


def test_a_base_that_cannot_be_found_offline_is_named(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "sam-adapter", tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": "nobody/no-such-model"}))
    with pytest.raises(AdapterError, match="adapter is an adapter for nobody/no-such-model, which cannot be loaded"):
        merge_adapter(tmp_path / "adapter")
    with pytest.raises(OSError):  # Transformers' own words
        AutoModel.from_pretrained(tmp_path / "adapter")


def test_a_disk_that_fills_up_leaves_the_previous_adapter_whole(folders: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    model = AutoModel.from_pretrained(folders / "sam-adapter")
    folder = save_adapter(model, tmp_path / "adapter", sam_processor())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    stir_adapter(model, seed=9)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, limits[1]))
    try:
        with pytest.raises(OSError, match="was not written.*what was there before is whole"):
            save_adapter(model, folder, sam_processor())
        with pytest.raises(OSError, match="nothing was left behind"):
            save_adapter(model, tmp_path / "another")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_model_without_adapter_is_not_saved_as_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no adapter"):
        save_adapter(sam_model(), tmp_path / "adapter")
    assert not list(tmp_path.iterdir())


# Frozen presets


def trained_by(model: Any, preset: str) -> set[str]:
    frozen = set(frozen_by_preset(model, preset))
    return {name.split(".")[0] for name, _ in model.named_parameters() if name not in frozen}


def test_freeze_presets_of_a_uniref() -> None:
    model = small_model()
    everything = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert trained_by(model, "full") == everything and frozen_by_preset(model, "full") == []
    assert trained_by(model, "fusion") == {"fusion"}
    assert trained_by(model, "decoder") == {"transformer", "class_heads", "box_heads", "mask_head"}
    assert any(name.startswith("transformer.encoder.") for name in frozen_by_preset(model, "decoder"))
    frozen = frozen_by_preset(model, "released")
    assert frozen and all("backbone.embedder" in name or "stages.0" in name for name in frozen)
    assert frozen_by_preset(small_model(backbone_config=SWIN), "released") == []


def test_freeze_presets_of_a_sam() -> None:
    model = sam_model()
    assert trained_by(model, "fusion") == {"fusion"}
    assert trained_by(model, "decoder") == {"mask_decoder"}
    assert trained_by(model, "released") == {"mask_decoder", "language_encoder", "mask_encoder", "fusion"}


def test_a_preset_that_leaves_nothing_is_refused() -> None:
    model = small_model(use_language_references=False, use_mask_references=False)
    with pytest.raises(ValueError, match="leaves nothing to train in a model without a fusion"):
        frozen_by_preset(model, "fusion")


# Transformers' own way, without the helpers


def test_the_mixin_of_transformers_adds_saves_and_loads_adapters(tmp_path: Path) -> None:
    small_model().save_pretrained(tmp_path / "base")
    model = AutoModel.from_pretrained(tmp_path / "base")
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["linear1", "q_proj"], modules_to_save=["mask_head"]), "mine")
    assert model.active_adapters() == ["mine"]
    stir_adapter(model, 3)
    expected = answer(model)
    model.save_pretrained(tmp_path / "adapter")
    loaded = AutoModel.from_pretrained(tmp_path / "base")
    loaded.load_adapter(str(tmp_path / "adapter"), adapter_name="mine")
    assert_same_weights(loaded, model)
    assert_same_output(answer(loaded), expected)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all("linear1" in key or "q_proj" in key or "mask_head" in key for key in saved)


def test_an_adapter_of_a_model_with_a_name_names_it_so_and_finds_it_elsewhere(tmp_path):
    from transformers_uniref.adapters.presets import attach_adapter
    from transformers_uniref.core.model_names import model_location

    model = AutoModel.from_pretrained("uniref-pp")
    config = peft.LoraConfig(r=2, target_modules=r"transformer\.encoder\.layers\.0\.linear1")
    attach_adapter(model, config, model_location("uniref-pp"))
    model.save_pretrained(tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved["base_model_name_or_path"] == "uniref-pp"
    loaded = AutoModel.from_pretrained(tmp_path / "adapter")
    assert loaded.peft_config["default"].r == 2 and loaded.num_parameters() == model.num_parameters()
    saved["base_model_name_or_path"] = "uniref-pp-r50"
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(saved))
    with pytest.raises(AdapterError, match="is an adapter, and uniref-pp-r50 is not on this machine yet"):
        merge_adapter(tmp_path / "adapter")
