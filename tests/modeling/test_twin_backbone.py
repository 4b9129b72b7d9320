"""EfficientNet-Lite out of a public state dict, and a second backbone that changes nothing until it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoBackbone, AutoConfig

from cli_support import save_tiny_checkpoint
from model_support import small_config, stir
from noise import assert_same_output
from transformers_uniref import UniRefModel
from transformers_uniref.modeling.efficientnet_lite import (
    EfficientNetLiteBackbone,
    EfficientNetLiteConfig,
    load_public_backbone,
)
from transformers_uniref.modeling.twin_backbone import TwinBackboneConfig, add_second_backbone, replace_second_backbone

# Lite0 as its port writes it down: repeats, kernel, stride, expansion, channels.
LITE0 = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
LITE0 += ((1, 3, 1, 6, 320),)
SMALL = {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4}


def public_state(seed: int = 0) -> dict[str, Tensor]:
    """Random weights by the port's names, its head and classifier among them."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def layer(block: str, conv: str, norm: str, shape: tuple[int, ...]) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{block}{conv}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        state[f"{block}{norm}.weight"] = torch.rand(shape[0], generator=generator) + 0.5
        state[f"{block}{norm}.bias"] = torch.randn(shape[0], generator=generator) * 0.3
        state[f"{block}{norm}.running_mean"] = torch.randn(shape[0], generator=generator) * 0.3
        state[f"{block}{norm}.running_var"] = torch.rand(shape[0], generator=generator) + 0.5
        state[f"{block}{norm}.num_batches_tracked"] = torch.tensor(7)

    layer("", "_conv_stem", "_bn0", (32, 3, 3, 3))
    inputs, number = 32, 0
    for repeats, kernel, _, expansion, channels in LITE0:
        for _ in range(repeats):
            block, inner = f"_blocks.{number}.", inputs * expansion
            if expansion > 1:
                layer(block, "_expand_conv", "_bn0", (inner, inputs, 1, 1))
            layer(block, "_depthwise_conv", "_bn1", (inner, 1, kernel, kernel))
            layer(block, "_project_conv", "_bn2", (channels, inner, 1, 1))
            inputs, number = channels, number + 1
    layer("", "_conv_head", "_bn1", (1280, 320, 1, 1))
    state["_fc.weight"], state["_fc.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return state


def norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    values = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *values, training=False, eps=1e-3)


def same_conv(x: Tensor, weight: Tensor, stride: int, groups: int = 1) -> Tensor:
    """TensorFlow's "SAME" for any side: outputs are ceil(side / stride), the odd pixel of padding is behind."""
    kernel = weight.shape[-1]
    padding: list[int] = []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        padding += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, padding), weight, stride=stride, groups=groups)


def public_maps(pixels: Tensor, state: dict[str, Tensor]) -> list[Tensor]:
    """The network, layer by layer with its norms, on pixels of 0 to 255."""
    x = F.relu6(norm(same_conv((pixels - 127) / 128, state["_conv_stem.weight"], 2), state, "_bn0"))
    number, maps = 0, []
    for place, (repeats, _, stride, expansion, channels) in enumerate(LITE0):
        for repeat in range(repeats):
            block, before = f"_blocks.{number}.", x
            if expansion > 1:
                x = F.relu6(norm(F.conv2d(x, state[f"{block}_expand_conv.weight"]), state, f"{block}_bn0"))
            depthwise = state[f"{block}_depthwise_conv.weight"]
            x = same_conv(x, depthwise, 1 if repeat else stride, groups=len(depthwise))
            x = F.conv2d(F.relu6(norm(x, state, f"{block}_bn1")), state[f"{block}_project_conv.weight"])
            x = norm(x, state, f"{block}_bn2")
            x = x + before if repeat or (stride == 1 and before.shape[1] == channels) else x
            number += 1
        if place in (1, 2, 4, 6):
            maps.append(x)
    return maps


def normalised(pixels: Tensor) -> Tensor:
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    return (pixels - mean[:, None, None]) / std[:, None, None]


@torch.no_grad()
def test_a_public_state_dict_computes_what_it_did_with_its_norms() -> None:
    state = public_state()
    backbone = load_public_backbone(state)
    assert backbone.config.width == 1.0 and backbone.config.depth == 1.0 and not backbone.training
    backbone.out_features = ["stage1", "stage2", "stage3", "stage4"]
    pixels = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 255
    found = backbone(normalised(pixels)).feature_maps
    expected = public_maps(pixels, state)
    assert [tuple(one.shape[1:]) for one in found] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-4 * other.abs().max()


@torch.no_grad()
def test_the_head_before_the_classifier_follows_the_last_map() -> None:
    state = public_state()
    backbone = load_public_backbone(state, with_head=True)
    backbone.out_features = ["stage3", "stage4"]
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 255
    third, last = backbone(normalised(pixels)).feature_maps
    expected = public_maps(pixels, state)
    head = F.relu6(norm(F.conv2d(expected[3], state["_conv_head.weight"]), state, "_bn1"))
    assert backbone.config.head_channels == 1280 and backbone.channels == [112, 1600]
    for one, other in ((third, expected[2]), (last, torch.cat([expected[3], head], 1))):
        assert (one - other).abs().max() <= 1e-4 * other.abs().max()


@torch.no_grad()
@pytest.mark.parametrize("size", [(33, 50), (31, 47), (65, 32)])
def test_maps_of_any_size_fit_those_of_a_resnet(size: tuple[int, int]) -> None:
    twin = AutoBackbone.from_config(TwinBackboneConfig(first=SMALL, out_features=["stage1", "stage4"])).eval()
    first, last = twin(torch.rand(1, 3, *size)).feature_maps
    assert first.shape == (1, 8 + 24, -(-size[0] // 4), -(-size[1] // 4))
    assert last.shape == (1, 16 + 320, -(-size[0] // 32), -(-size[1] // 32))
    assert twin.channels == [32, 336]


def test_the_variant_is_read_from_the_shapes() -> None:
    state = EfficientNetLiteBackbone(EfficientNetLiteConfig(width=1.1, depth=1.2)).state_dict()
    blocks = EfficientNetLiteConfig(width=1.1, depth=1.2).stages
    assert [stage[3:] for stage in blocks] == [(16, 1), (24, 3), (48, 3), (88, 4), (120, 4), (208, 5), (352, 1)]
    assert state["stages.5.4.project.conv.weight"].shape == (208, 1248, 1, 1)  # as Lite2 is published


def test_other_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="state: 1 tensors, of which 0 layers .* Lite0 to Lite4"):
        load_public_backbone({"weight": torch.zeros(2)})
    wider = public_state()
    wider["_conv_stem.weight"] = torch.zeros(40, 3, 3, 3)
    for part in ("weight", "bias", "running_mean", "running_var"):
        wider[f"_bn0.{part}"] = torch.ones(40)
    with pytest.raises(ValueError, match="Lite0 to Lite4"):
        load_public_backbone(wider)


@pytest.fixture(scope="module")
def models() -> tuple[UniRefModel, UniRefModel]:
    """A model and the same with a second backbone."""
    torch.manual_seed(0)
    model = UniRefModel(small_config(backbone_norm="group")).eval()
    stir(model)
    return model, add_second_backbone(model, load_public_backbone(public_state()))


def request(model: UniRefModel) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {
        "pixel_values": torch.randn(1, 3, 96, 128, generator=generator),
        "input_ids": torch.randint(1, 40, (1, model.config.text_length), generator=generator),
    }


@torch.no_grad()
def test_a_second_backbone_changes_nothing_at_first(models: tuple[UniRefModel, UniRefModel], tmp_path: Path) -> None:
    model, larger = models
    before, after = model(**request(model)), larger(**request(model))
    assert_same_output(after, before)
    larger.save_pretrained(tmp_path)
    again = UniRefModel.from_pretrained(tmp_path).eval()
    assert again.config.backbone_config.second.model_type == "efficientnet_lite"
    assert not [name for name, value in larger.state_dict().items() if not torch.equal(again.state_dict()[name], value)]
    assert_same_output(again(**request(model)), after)


@torch.no_grad()
def test_a_second_backbone_that_begins_alike_takes_its_place(models: tuple[UniRefModel, UniRefModel]) -> None:
    model, larger = models
    with_head = replace_second_backbone(larger, load_public_backbone(public_state(), with_head=True))
    assert_same_output(with_head(**request(model)), larger(**request(model)))
    assert with_head.visual_encoder.backbone.channels[-1] == larger.visual_encoder.backbone.channels[-1] + 1280
    with pytest.raises(ValueError, match="it has one backbone"):
        replace_second_backbone(model, load_public_backbone(public_state()))
    with pytest.raises(ValueError, match="second: it has fewer channels than what it replaces"):
        replace_second_backbone(with_head, load_public_backbone(public_state()))


def test_its_features_count_after_one_step(models: tuple[UniRefModel, UniRefModel]) -> None:
    model, larger = models
    widened = larger.visual_encoder.projections[0].conv.weight
    own = model.visual_encoder.projections[0].conv.weight.shape[1]
    assert not widened[:, own:].any()
    larger.zero_grad()
    larger(**request(model)).pred_masks.square().mean().backward()
    assert widened.grad is not None and widened.grad[:, own:].abs().max() > 0
    lateral = larger.mask_head.lateral_conv.weight.grad
    assert lateral is not None and lateral[:, -24:].abs().max() > 0


def test_the_norms_of_a_public_backbone_stay_with_group_norm(models: tuple[UniRefModel, UniRefModel]) -> None:
    kinds = {type(module).__name__ for module in models[1].visual_encoder.backbone.second.modules()}
    assert not any("Norm" in kind for kind in kinds)


def test_backbones_of_other_depths_are_refused() -> None:
    with pytest.raises(ValueError, match="as many stages; resnet has 3, efficientnet_lite 4"):
        TwinBackboneConfig(first={**SMALL, "hidden_sizes": [8, 8, 8], "depths": [1, 1, 1]})


def test_configurations_are_known_by_type() -> None:
    assert AutoConfig.for_model("efficientnet_lite").width == 1.0
    config = AutoConfig.for_model("uniref_twin_backbone", first=SMALL, second={"model_type": "efficientnet_lite"})
    assert type(config).from_dict(config.to_dict()).first.hidden_sizes == [8, 8, 16, 16]


def test_the_example_makes_a_folder(example: Any, tmp_path: Path) -> None:
    weights, start, out = tmp_path / "lite0.pth", save_tiny_checkpoint(tmp_path / "start"), tmp_path / "out"
    torch.save(public_state(), weights)
    code, said, _ = example("second_backbone", start, out, "--weights", weights)
    assert code == 0 and f"parameters in {out}" in said
    assert UniRefModel.from_pretrained(out).config.backbone_config.model_type == "uniref_twin_backbone"
    code, said, _ = example("second_backbone", start, out, "--weights", weights)
    assert code == 2 and "is not empty" in said
    weights.write_text("no weights")
    code, said, _ = example("second_backbone", start, tmp_path / "other", "--weights", weights)
    assert code == 2 and "--weights" in said and not (tmp_path / "other").exists()
