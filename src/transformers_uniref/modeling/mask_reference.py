"""Annotated frame -> reference: the value encoder (paper section 3.2, released details).

Keys are the frame's own visual features. Values come from a ResNet-18 that sees the image and the mask, fused with the
visual features level by level through residual blocks and CBAM (Woo et al., ECCV 2018).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .configuration_references import ReferenceFusionConfig
from .normalization import group_norm
from .references import References, ReferenceTokens, VisualFeatures
from .visual_encoder import ConvNorm


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else group_norm(channels)


class _BiasedConvNorm(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, norm: str):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
        self.norm = _norm(norm, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class ValueBlock(nn.Module):
    """ResNet's basic block; unlike in ResNet every convolution has a bias."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1)
        self.norm1 = _norm(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = _norm(norm, outputs)
        self.shortcut = (
            nn.Identity() if stride == 1 and inputs == outputs else _BiasedConvNorm(inputs, outputs, 1, stride, norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class PreActivationBlock(nn.Module):
    """relu - conv3x3 - relu - conv3x3 plus a shortcut: a 3x3 convolution of the raw input where the width changes."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(F.relu(self.conv1(F.relu(x)))) + self.shortcut(x)


class ChannelGate(nn.Module):
    """CBAM's gate over channels: sigmoid(MLP(mean over the map) + MLP(maximum over the map))."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        self.reduce = nn.Linear(channels, channels // reduction)
        self.expand = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.stack([x.mean((2, 3)), x.amax((2, 3))])
        gate = self.expand(F.relu(self.reduce(pooled))).sum(0).sigmoid()
        return x * gate[:, :, None, None]


class ConvBlockAttention(nn.Module):
    """CBAM: the channel gate, then the gate over pixels sigmoid(conv7x7([maximum, mean over channels]))."""

    def __init__(self, channels: int):
        super().__init__()
        self.channel_gate = ChannelGate(channels)
        self.spatial_gate = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_gate(x)
        pooled = torch.stack([x.amax(1), x.mean(1)], dim=1)
        return x * self.spatial_gate(pooled).sigmoid()


class ValueFuser(nn.Module):
    """Joins the value feature of a level with the frame's visual feature of that level."""

    def __init__(self, value_channels: int, channels: int):
        super().__init__()
        self.block1 = PreActivationBlock(value_channels + channels, channels)
        self.attention = ConvBlockAttention(channels)
        self.block2 = PreActivationBlock(channels, channels)

    def forward(self, value: Tensor, feature: Tensor) -> Tensor:
        x = self.block1(torch.cat([value, feature.expand(value.shape[0], -1, -1, -1)], dim=1))
        return self.block2(x + self.attention(x))


class MaskReferenceEncoder(nn.Module):
    """Value encoder: a ResNet-18 on (image, mask), and a fuser for every level on which references act.

    Its stages have strides 4, 8, 16, ...; those of `config.feature_strides` are used, and a level of twice the last
    stage's stride is made by one more convolution.
    """

    def __init__(self, config: ReferenceFusionConfig):
        super().__init__()
        norm, widths = config.value_encoder_norm, config.value_encoder_widths
        self.stem = _BiasedConvNorm(4, widths[0], 7, 2, norm)
        stages, inputs = [], widths[0]
        for stage, (width, depth) in enumerate(zip(widths, config.value_encoder_depths, strict=True)):
            blocks = [ValueBlock(inputs, width, 1 if stage == 0 else 2, norm)]
            blocks += [ValueBlock(width, width, 1, norm) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = width
        self.stages = nn.ModuleList(stages)
        width_at = {4 * 2**stage: width for stage, width in enumerate(widths)}
        if config.feature_strides[-1] not in width_at:
            self.extra_level: ConvNorm | None = ConvNorm(widths[-1], config.d_model, 3, stride=2)
            width_at[8 * 2 ** (len(widths) - 1)] = config.d_model
        else:
            self.extra_level = None
        self.fused_maps = [list(width_at).index(stride) for stride in config.feature_strides]
        self.fusers = nn.ModuleList([ValueFuser(width_at[stride], config.d_model) for stride in config.feature_strides])

    def forward(self, features: VisualFeatures, masks: Tensor) -> References:
        """Encode annotated frames.

        Args:
            features: visual features of N frames, or of one frame that all N masks belong to.
            masks: (N, H, W) 0/1 at the padded input size, 0 in the padding.

        Returns:
            references with keys (1 or N, S, d), values (N, S, d), condition (N, d). The condition is the mean of the
            visual features over the valid area: as released, it does not depend on the mask.
        """
        count = masks.shape[0]
        image = features.pixel_values.expand(count, -1, -1, -1)
        x = torch.cat([image, masks[:, None].to(image.dtype)], dim=1)
        x = F.max_pool2d(F.relu(self.stem(x)), 3, stride=2, padding=1)
        value_maps = []
        for stage in self.stages:
            x = stage(x)
            value_maps.append(x)
        if self.extra_level is not None:
            value_maps.append(self.extra_level(x))
        levels = []
        for fuser, place, feature, mask in zip(
            self.fusers, self.fused_maps, features.levels, features.masks, strict=True
        ):
            values = fuser(value_maps[place], feature).flatten(2).transpose(1, 2)
            keys = feature.flatten(2).transpose(1, 2)
            valid = mask.flatten(1)
            weight = valid.to(keys.dtype)[..., None]
            condition = (keys * weight).sum(1) / weight.sum(1).clamp(min=1)
            levels.append(
                ReferenceTokens(
                    keys,
                    values,
                    None if features.padded is False else valid.expand(count, -1),
                    condition.expand(count, -1),
                )
            )
        return References("mask", levels)
