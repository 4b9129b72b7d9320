"""Image -> pyramid: a Transformers backbone and the projections to four levels of d channels."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoBackbone

from .configuration_uniref import UniRefConfig
from .normalization import replace_batch_norms
from .position_embedding import frequency_values, sine_map_positions
from .references import VisualFeatures


def is_tracing() -> bool:
    """Whether data-dependent questions may not be asked."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


class ConvNorm(nn.Module):
    """Convolution with bias and group norm of 32 groups."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        self.norm = nn.GroupNorm(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class VisualEncoder(nn.Module):
    """Backbone stages at strides 4 to 32; 8 to 32 projected by 1x1 convolutions, 64 made from 32 by a strided 3x3."""

    def __init__(self, config: UniRefConfig):
        super().__init__()
        self.d_model = config.d_model
        frequency_values(self.d_model // 2)  # now, for a trace of this model has no values
        backbone_class: Any = AutoBackbone._model_mapping[type(config.backbone_config)]
        if not backbone_class._supports_sdpa:
            # A backbone without attention refuses the implementation that the whole model was asked for.
            config.backbone_config._attn_implementation = "eager"
        self.backbone = AutoBackbone.from_config(config.backbone_config)
        if config.backbone_config.model_type == "swin":
            # The library's backbone computes this norm of the last stage and returns nothing of it.
            self.backbone.swin.layernorm = nn.Identity()
        replace_batch_norms(self.backbone, config.backbone_norm)
        channels = self.backbone.channels
        self.projections = nn.ModuleList(
            [ConvNorm(width, config.d_model, 1) for width in channels[1:]]
            + [ConvNorm(channels[-1], config.d_model, 3, stride=2)]
        )

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> VisualFeatures:
        """Encode images.

        Args:
            pixel_values: (B, 3, H, W) normalised RGB, zero in the padding.
            pixel_mask: (B, H, W), non-zero where the image is; None when there is no padding.
        """
        padded: bool | None = False
        if pixel_mask is None:
            pixel_mask = torch.ones(
                pixel_values.shape[0], *pixel_values.shape[-2:], dtype=torch.bool, device=pixel_values.device
            )
        else:
            pixel_mask = pixel_mask.bool()
            padded = None if is_tracing() else not bool(pixel_mask.all())
        maps = self.backbone(pixel_values).feature_maps
        sources = [*maps[1:], maps[-1]]
        levels = [project(source) for project, source in zip(self.projections, sources, strict=True)]
        masks = [nearest_mask(pixel_mask, level) for level in levels[:3]]
        masks.append(nearest_mask(masks[0], levels[3]))  # as released: from the stride-8 mask, not from the image's
        positions = [sine_map_positions(mask, self.d_model).to(pixel_values.dtype) for mask in masks]
        return VisualFeatures(maps[0], levels, masks, positions, pixel_values, pixel_mask, padded)


def nearest_mask(mask: Tensor, like: Tensor) -> Tensor:
    """A bool mask (B, H, W) at the size of the map `like` (B, C, h, w)."""
    return F.interpolate(mask[:, None].float(), size=like.shape[-2:])[:, 0].bool()
