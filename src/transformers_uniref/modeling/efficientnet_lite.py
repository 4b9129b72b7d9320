"""EfficientNet-Lite as a Transformers backbone: a small convolutional network whose ImageNet weights are public.

EfficientNet (Tan and Le, ICML 2019) without squeeze-and-excitation and with ReLU6, as in the public "lite" variants.
Transformers has EfficientNet, but neither this variant nor a backbone of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from ..core.errors import UsageError

_STEM_CHANNELS = 32
_BATCH_NORM_EPS = 1e-3
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_LITE_MEAN, _LITE_STD = 127.0, 128.0
# Kernel, stride, expansion, channels, repeats at depth 1 (table 1 of the paper, stages 2 to 8).
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_VARIANTS = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8))
"""Width and depth of Lite0 to Lite4."""
_OUTPUTS = {1: "stage1", 2: "stage2", 4: "stage3", 6: "stage4"}
"""The last of the stages at strides 4, 8, 16 and 32."""


@strict
class EfficientNetLiteConfig(BackboneConfigMixin, PreTrainedConfig):
    r"""Configuration of [`EfficientNetLiteBackbone`]. The defaults are those of EfficientNet-Lite0.

    Args:
        width: factor of the channels (Lite0 and Lite1: 1.0; Lite2: 1.1).
        depth: factor of the repeats of the inner stages (Lite0: 1.0, Lite1: 1.1, Lite2: 1.2).
        head_channels: channels of the classifier's last convolution (1280 as published), which the map at stride 32
            then ends with; 0: without it. They know most about what is shown.
    """

    model_type = "efficientnet_lite"

    width: float = 1.0
    depth: float = 1.0
    head_channels: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        self.stage_names = ["stem", *_OUTPUTS.values()]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)

    @property
    def stages(self) -> list[tuple[int, int, int, int, int]]:
        """Kernel, stride, expansion, channels and blocks of the seven stages."""
        last = len(_STAGES) - 1
        return [
            (kernel, stride, expansion, _rounded(channels * self.width), blocks)
            for place, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES)
            for blocks in [repeats if place in (0, last) else math.ceil(repeats * self.depth)]
        ]


def _rounded(channels: float) -> int:
    """To a multiple of eight that is no more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class SameConv(nn.Module):
    """Convolution with bias; at stride 2 it is padded as in TensorFlow, where an even side gets more below and right.

    The public weights come from there: with PyTorch's padding every stage would see the picture half a pixel aside.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__()
        before = (kernel - stride) // 2
        # One more than TensorFlow behind: of no effect on an even side, and an odd one is then rounded up.
        self.padding = (before, kernel - stride - before + 1) * 2 if stride > 1 else None
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding=0 if self.padding else kernel // 2, groups=groups
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x if self.padding is None else F.pad(x, self.padding))


class InvertedResidual(nn.Module):
    """Widen (1x1), convolve each channel (depthwise), narrow (1x1); the shortcut joins the narrow ends."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = inputs * expansion
        self.expand = SameConv(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, outputs, 1)
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.has_shortcut else y


class EfficientNetLiteBackbone(BackboneMixin, PreTrainedModel):
    """Four maps at strides 4 to 32 of an image that is normalised as for ResNet (ImageNet's mean and deviation).

    `load_public_backbone` folds the batch norms of the public weights, which are constants, into the convolutions
    before them: there is no norm layer, and `UniRefConfig.backbone_norm` changes nothing.
    """

    config_class = EfficientNetLiteConfig
    main_input_name = "pixel_values"
    has_attentions = False

    def __init__(self, config: EfficientNetLiteConfig):
        super().__init__(config)
        self.stem = SameConv(3, _STEM_CHANNELS, 3, stride=2)
        stages, inputs, widths = [], _STEM_CHANNELS, [_STEM_CHANNELS]
        for place, (kernel, stride, expansion, channels, blocks) in enumerate(config.stages):
            stage = []
            for number in range(blocks):
                stage.append(InvertedResidual(inputs, channels, kernel, 1 if number else stride, expansion))
                inputs = channels
            stages.append(nn.Sequential(*stage))
            if place in _OUTPUTS:
                widths.append(channels)
        self.stages = nn.ModuleList(stages)
        self.head = SameConv(inputs, config.head_channels, 1) if config.head_channels else None
        widths[-1] += config.head_channels
        self.num_features = widths
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                init.zeros_(module.bias)

    def forward(self, pixel_values: Tensor, *args: Any, **kwargs: Any) -> BackboneOutput:
        """Maps of `config.out_features`.

        Args:
            pixel_values: (B, 3, H, W), normalised by ImageNet's mean and deviation of pixels 0 to 255.
        """
        mean = pixel_values.new_tensor(_IMAGENET_MEAN)[:, None, None]
        std = pixel_values.new_tensor(_IMAGENET_STD)[:, None, None]
        x = F.relu6(self.stem((pixel_values * std + (mean - _LITE_MEAN)) / _LITE_STD))
        maps = {"stem": x}
        for place, stage in enumerate(self.stages):
            x = stage(x)
            if place in _OUTPUTS:
                maps[_OUTPUTS[place]] = x
        if self.head is not None:
            maps["stage4"] = torch.cat([x, F.relu6(self.head(x))], dim=1)
        chosen: Any = tuple(maps[name] for name in self.out_features)
        return BackboneOutput(feature_maps=chosen)


def load_public_backbone(state: Mapping[str, Tensor], with_head: bool = False) -> EfficientNetLiteBackbone:
    """The backbone of a public EfficientNet-Lite.

    Args:
        state: state dict of the PyTorch port whose layers are named `_conv_stem`, `_bn0`, `_blocks.0._depthwise_conv`
            and so on; its classifier is not used.
        with_head: take the last convolution before the classifier too, see `EfficientNetLiteConfig.head_channels`.

    Returns:
        the backbone in evaluation mode, every batch norm folded into the convolution before it.

    Raises:
        ValueError: the tensors are not those of one of the variants Lite0 to Lite4.
    """
    weights = _folded(state, with_head)
    head = weights["head.conv.bias"].shape[0] if "head.conv.bias" in weights else 0
    shapes = {name: value.shape for name, value in weights.items()}
    for width, depth in _VARIANTS:
        with torch.device("meta"):
            empty = EfficientNetLiteBackbone(EfficientNetLiteConfig(width=width, depth=depth, head_channels=head))
        if shapes == {name: value.shape for name, value in empty.state_dict().items()}:
            empty.load_state_dict(weights, assign=True)
            return empty.eval()
    raise UsageError(
        f"state: {len(state)} tensors, of which {len(weights) // 2} layers are named as in a public EfficientNet-Lite; "
        "accepted: the state dict of one of the variants Lite0 to Lite4, with names such as "
        "_blocks.0._depthwise_conv.weight and _blocks.0._bn1.running_var"
    )


def _folded(state: Mapping[str, Tensor], with_head: bool) -> dict[str, Tensor]:
    """Weights and biases by the names of this file; empty where nothing is named as in the port."""
    folded = {}
    layers = list(_public_layers(state))
    if with_head and layers and "_conv_head.weight" in state:
        layers.append(("", "_conv_head", "_bn1", "head"))
    for block, conv, norm, target in layers:
        scale = state[f"{block}{norm}.weight"] / (state[f"{block}{norm}.running_var"] + _BATCH_NORM_EPS).sqrt()
        folded[f"{target}.conv.weight"] = state[f"{block}{conv}.weight"] * scale[:, None, None, None]
        folded[f"{target}.conv.bias"] = state[f"{block}{norm}.bias"] - state[f"{block}{norm}.running_mean"] * scale
    return folded


def _public_layers(state: Mapping[str, Tensor]) -> Iterator[tuple[str, str, str, str]]:
    """Prefix, convolution, norm, and the name of their layer here; blocks of one kernel and width are one stage."""
    if "_conv_stem.weight" not in state:
        return
    yield "", "_conv_stem", "_bn0", "stem"
    stage = number = -1
    shape: tuple[int, int] | None = None
    for index in itertools.count():
        block = f"_blocks.{index}."
        if f"{block}_depthwise_conv.weight" not in state:
            return
        layer = (state[f"{block}_project_conv.weight"].shape[0], state[f"{block}_depthwise_conv.weight"].shape[-1])
        stage, number = (stage, number + 1) if layer == shape else (stage + 1, 0)
        shape = layer
        target = f"stages.{stage}.{number}"
        if f"{block}_expand_conv.weight" in state:
            yield block, "_expand_conv", "_bn0", f"{target}.expand"
        yield block, "_depthwise_conv", "_bn1", f"{target}.depthwise"
        yield block, "_project_conv", "_bn2", f"{target}.project"


__all__ = ["EfficientNetLiteBackbone", "EfficientNetLiteConfig", "load_public_backbone"]
