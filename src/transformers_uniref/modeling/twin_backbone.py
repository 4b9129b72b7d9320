"""Two backbones side by side: what one has learned for this task, and what another knows of photographs.

The maps of each stage are concatenated. `add_second_backbone` puts a second one beside the backbone of a trained model
without changing what that model computes; training then decides what the new channels are good for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.dataclasses import strict
from torch import Tensor
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

from ..core.errors import UsageError
from .configuration_references import sub_config

if TYPE_CHECKING:
    from .modeling_uniref import UniRefModel

_FIRST, _SECOND = "visual_encoder.backbone.first.", "visual_encoder.backbone.second."


@strict
class TwinBackboneConfig(BackboneConfigMixin, PreTrainedConfig):
    r"""Configuration of [`TwinBackbone`].

    Args:
        first: any Transformers backbone with four stages at strides 4, 8, 16 and 32. Default: ResNet-50.
        second: another. Default: EfficientNet-Lite0.
    """

    model_type = "uniref_twin_backbone"
    sub_configs = {"first": AutoConfig, "second": AutoConfig}

    # Dictionaries or configurations when given, configurations afterwards.
    first: Any = None
    second: Any = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.first = sub_config(self.first, "resnet")
        self.second = sub_config(self.second, "efficientnet_lite")
        for part in (self.first, self.second):
            part.out_features = [name for name in part.stage_names if name != "stem"]
        counts = [len(part.out_features) for part in (self.first, self.second)]
        if counts[0] != counts[1]:
            raise UsageError(
                f"first and second must have as many stages; {self.first.model_type} has {counts[0]}, "
                f"{self.second.model_type} {counts[1]}."
            )
        self.stage_names = ["stem"] + [f"stage{number}" for number in range(1, counts[0] + 1)]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)


class TwinBackbone(BackboneMixin, PreTrainedModel):
    """For every stage the channels of the first backbone, then those of the second."""

    config_class = TwinBackboneConfig
    main_input_name = "pixel_values"
    has_attentions = False

    def __init__(self, config: TwinBackboneConfig):
        super().__init__(config)
        self.first = AutoBackbone.from_config(config.first)
        self.second = AutoBackbone.from_config(config.second)
        # A stem is no output: its strides differ from one kind of backbone to another.
        self.num_features = [0] + [a + b for a, b in zip(self.first.channels, self.second.channels, strict=True)]
        self.post_init()

    def forward(self, pixel_values: Tensor, *args: Any, **kwargs: Any) -> BackboneOutput:
        """Maps of `config.out_features`.

        Args:
            pixel_values: (B, 3, H, W), normalised as both backbones expect it.
        """
        pairs = zip(self.first(pixel_values).feature_maps, self.second(pixel_values).feature_maps, strict=True)
        maps = {f"stage{number}": torch.cat(pair, dim=1) for number, pair in enumerate(pairs, 1)}
        chosen: Any = tuple(maps[name] for name in self.out_features)
        return BackboneOutput(feature_maps=chosen)


@torch.no_grad()
def add_second_backbone(model: UniRefModel, second: PreTrainedModel) -> UniRefModel:
    """A copy of a model with another backbone beside its own, whose outputs are those of the model.

    Every convolution that reads a backbone map gets weights for the new channels, and they are zero: nothing is lost,
    and the first training step already moves them (compare zero convolutions, Zhang et al., "Adding Conditional Control
    to Text-to-Image Diffusion Models", ICCV 2023).

    Args:
        model: a `UniRefModel`; it is left as it is.
        second: a Transformers backbone with four stages at strides 4, 8, 16 and 32 and its weights, such as
            `EfficientNetLiteBackbone`. It gets the model's normalised images.

    Raises:
        ValueError: the second backbone has another number of stages.
    """
    own = "visual_encoder.backbone."
    given = {
        name.replace(own, _FIRST, 1) if name.startswith(own) else name: value
        for name, value in model.state_dict().items()
    }
    return _with_backbones(model, model.config.backbone_config.to_dict(), second, given)


@torch.no_grad()
def replace_second_backbone(model: UniRefModel, second: PreTrainedModel) -> UniRefModel:
    """A copy of a model with two backbones whose second one is another that begins with the same channels.

    Args:
        model: a `UniRefModel` with a [`TwinBackbone`]; it is left as it is.
        second: as for [`add_second_backbone`]; channels that it has beyond those of the one it replaces are read with
            zero weights, so where the first ones are the same the model computes what it did.

    Raises:
        ValueError: the model has one backbone, or the new one has fewer channels at some stage.
    """
    backbone: Any = model.visual_encoder.backbone
    if not isinstance(backbone, TwinBackbone):
        raise UsageError(f"model: it has one backbone, a {type(backbone).__name__}; accepted: one with two")
    given = {name: value for name, value in model.state_dict().items() if not name.startswith(_SECOND)}
    return _with_backbones(model, model.config.backbone_config.first.to_dict(), second, given)


def _with_backbones(
    model: UniRefModel, first: dict[str, Any], second: PreTrainedModel, given: dict[str, Tensor]
) -> UniRefModel:
    """The model around `first` and `second`; what is `given` with fewer input channels gets zeros for the others."""
    backbones = TwinBackboneConfig(first=first, second=second.config.to_dict())
    config: Any = type(model.config).from_dict({**model.config.to_dict(), "backbone_config": backbones.to_dict()})
    config._attn_implementation = model.config._attn_implementation
    larger: Any = type(model)(config)
    larger.to(device=model.device, dtype=model.dtype)
    wanted = larger.state_dict()
    given = given | {_SECOND + name: value for name, value in second.state_dict().items()}
    for name, value in given.items():
        if value.shape != wanted[name].shape:
            if value.shape[1] > wanted[name].shape[1]:
                raise UsageError(f"second: it has fewer channels than what it replaces ({name})")
            widened = torch.zeros_like(wanted[name])
            widened[:, : value.shape[1]] = value
            given[name] = widened
    larger.load_state_dict(given)
    return larger.train(model.training)


__all__ = ["TwinBackbone", "TwinBackboneConfig", "add_second_backbone", "replace_second_backbone"]
