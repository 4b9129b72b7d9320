"""Mask feature pyramid and dynamic convolution (paper section 3.4; CondInst, Tian et al., ECCV 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.utils.generic import maybe_autocast

from .configuration_uniref import UniRefConfig
from .deformable_transformer import PerceptronHead

_STRIDE = 4


class MaskHead(nn.Module):
    """Encoder memory -> mask features at stride 4; query -> the weights of three 1x1 convolutions that read them."""

    def __init__(self, config: UniRefConfig, stride4_channels: int):
        super().__init__()
        d, c = config.d_model, config.mask_channels
        self.channels = c
        self.conv32 = nn.Conv2d(d, d, 3, padding=1)
        self.conv16 = nn.Conv2d(d, d, 3, padding=1)
        self.conv8 = nn.Conv2d(d, d, 3, padding=1)
        self.reduce1 = nn.Conv2d(d, d // 4, 3, padding=1)
        self.reduce2 = nn.Conv2d(d // 4, c, 3, padding=1)
        self.lateral_conv = nn.Conv2d(stride4_channels, c, 1)
        self.output_conv = nn.Conv2d(c, c, 3, padding=1)
        self.mask_conv = nn.Conv2d(c, c, 1)
        # First layer: two relative coordinates and c features; then c, then one output, with biases.
        self.weight_sizes = [c * (c + 2), c * c, c]
        self.bias_sizes = [c, c, 1]
        self.controller = PerceptronHead(d, d, sum(self.weight_sizes) + sum(self.bias_sizes))

    def pyramid(self, maps: list[Tensor]) -> Tensor:
        """Memory maps (N, d, ...) at strides 8, 16, 32 to features (N, c, H/8, W/8)."""
        stride8, stride16, stride32 = maps[:3]
        x = F.relu(self.conv32(stride32))
        x = F.relu(self.conv16(stride16 + F.interpolate(x, size=stride16.shape[-2:], mode="nearest")))
        x = F.relu(self.conv8(stride8 + F.interpolate(x, size=stride8.shape[-2:], mode="nearest")))
        return F.relu(self.reduce2(F.relu(self.reduce1(x))))

    def features(self, maps: list[Tensor], stride4: Tensor, image_indices: Tensor | None = None) -> Tensor:
        """Mask features.

        Args:
            maps: memory maps (N, d, H/s, W/s), s = 8, 16, 32, ...
            stride4: (B, C2, H/4, W/4) raw first stage of the backbone.
            image_indices: (N,) image of every entry; None when N = B, or when B = 1 is shared by all.

        Returns:
            (N, c, H/4, W/4).
        """
        lateral = self.lateral_conv(stride4)
        if image_indices is not None:
            lateral = lateral[image_indices]
        top = F.interpolate(self.pyramid(maps), size=lateral.shape[-2:], mode="bilinear", align_corners=False)
        return self.mask_conv(F.relu(self.output_conv(lateral + top)))

    def masks(self, queries: Tensor, centres: Tensor, features: Tensor) -> Tensor:
        """Paper equation 6: dynamic convolution of the features and the coordinates relative to the query's centre.

        Args:
            queries: (N, M, d).
            centres: (N, M, 2) x and y in pixels of the (resized) image.
            features: (N, c, h, w) at stride 4.

        Returns:
            (N, M, h, w) logits.
        """
        parameters = self.controller(queries)
        # Coordinates run to a thousand pixels: half precision would blur them.
        with maybe_autocast(device_type=features.device.type, enabled=False):
            return self._convolve(parameters.float(), centres.float(), features.float())

    def _convolve(self, parameters: Tensor, centres: Tensor, features: Tensor) -> Tensor:
        count, number = parameters.shape[:2]
        height, width = features.shape[-2:]
        parts = parameters.flatten(0, 1).split(self.weight_sizes + self.bias_sizes, dim=1)
        weights, biases = parts[:3], parts[3:]
        c = self.channels
        first = weights[0].view(-1, c, c + 2)
        # The coordinate part of the first layer is linear in x and y, so it is a sum of a row and a column.
        x = torch.arange(width, device=features.device, dtype=centres.dtype) * _STRIDE + _STRIDE // 2
        y = torch.arange(height, device=features.device, dtype=centres.dtype) * _STRIDE + _STRIDE // 2
        relative = centres.flatten(0, 1)
        columns = first[:, :, :1] * (relative[:, :1, None] - x)  # (N * M, c, w)
        rows = first[:, :, 1:2] * (relative[:, 1:, None] - y)  # (N * M, c, h)
        offset = (rows + biases[0][:, :, None])[..., None] + columns[:, :, None, :]
        shared = features.flatten(2)
        shared = shared if number == 1 else shared.repeat_interleave(number, dim=0)
        hidden = torch.baddbmm(offset.flatten(2), first[:, :, 2:], shared).relu()
        hidden = torch.baddbmm(biases[1][:, :, None], weights[1].view(-1, c, c), hidden).relu()
        logits = torch.baddbmm(biases[2][:, :, None], weights[2].view(-1, 1, c), hidden)
        return logits.view(count, number, height, width)


def aligned_upsample(masks: Tensor, factor: int = _STRIDE) -> Tensor:
    """ "Aligned bilinear" upsampling (CondInst): keeps the centres of low-resolution pixels in place.

    Args:
        masks: (N, M, h, w).

    Returns:
        (N, M, factor * h, factor * w).
    """
    height, width = masks.shape[-2:]
    x = F.pad(masks, (0, 1, 0, 1), mode="replicate")
    x = F.interpolate(x, size=(factor * height + 1, factor * width + 1), mode="bilinear", align_corners=True)
    x = F.pad(x, (factor // 2, 0, factor // 2, 0), mode="replicate")
    return x[..., : factor * height, : factor * width]
