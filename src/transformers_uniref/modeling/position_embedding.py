"""Sine position embeddings of maps and of boxes."""

import math
from functools import cache

import torch
from torch import Tensor

_TEMPERATURE = 10000.0


def _frequencies(channels: int, device: torch.device) -> Tensor:
    if torch.compiler.is_exporting():
        # In rows and columns without a valid pixel angles are so large that the last bit of a frequency decides.
        return torch.tensor(frequency_values(channels), dtype=torch.float32, device=device)
    index = torch.arange(channels, dtype=torch.float32, device=device)
    return _TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)


@cache
def frequency_values(channels: int) -> tuple[float, ...]:
    """What coordinates are divided by, as the processor computes it: for graphs, whose own powers round differently.

    Call it once before a graph is traced, for a trace has no values.
    """
    return tuple(_frequencies(channels, torch.device("cpu")).tolist())


def _interleave(angle: Tensor) -> Tensor:
    """sin of the even and cos of the odd channels, alternating."""
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], dim=-1).flatten(-2)


def sine_map_positions(mask: Tensor, channels: int) -> Tensor:
    """Position embedding of a map, normalised to the valid area.

    The coordinate of a pixel is (index - 0.5) / (size + 1e-6) * 2 pi, its index counted from 1 over valid pixels and
    size the last such count of its row or column. In rows and columns without a valid pixel size is 0: the released
    mask head reads those values near the border, so they are kept as they come.

    Args:
        mask: (B, H, W) bool, True where the image is.
        channels: d, half of it for y, half for x.

    Returns:
        (B, d, H, W) float32, y channels first, each coordinate's sines and cosines interleaved.
    """
    counts = mask.to(torch.float32)
    y, x = counts.cumsum(1), counts.cumsum(2)
    y = (y - 0.5) / (y[:, -1:, :] + 1e-6) * (2 * math.pi)
    x = (x - 0.5) / (x[:, :, -1:] + 1e-6) * (2 * math.pi)
    frequencies = _frequencies(channels // 2, mask.device)
    y, x = _interleave(y[..., None] / frequencies), _interleave(x[..., None] / frequencies)
    return torch.cat([y, x], dim=-1).permute(0, 3, 1, 2)


def sine_box_positions(boxes: Tensor, channels: int) -> Tensor:
    """Position embedding of boxes.

    Args:
        boxes: (..., 4) cx, cy, w, h in [0, 1].
        channels: number of channels of one coordinate.

    Returns:
        (..., 4 * channels), the coordinates in the order cx, cy, w, h.
    """
    angle = boxes[..., None] * (2 * math.pi) / _frequencies(channels, boxes.device)
    return _interleave(angle).flatten(-2)
