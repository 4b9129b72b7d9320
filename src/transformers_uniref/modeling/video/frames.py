"""Frames as the network reads them: checked, resized, normalised and padded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...core.errors import UsageError
from ..references import pad_to


class FrameProcessor(Protocol):
    """What a session asks of an image processor."""

    video_size: Any
    enlarged_to: Any

    def process_image(self, image: Any, *, name: str) -> np.ndarray | Tensor: ...
    def __call__(self, images: Any, **kwargs: Any) -> Mapping[str, Any]: ...


@dataclass
class PreparedFrame:
    """A frame as the network reads it.

    Attributes:
        pixel_values: (1, 3, H, W).
        pixel_mask: (1, H, W), or None without padding.
        network_size: height and width of the frame inside `pixel_values`.
        video_size: height and width of the frame as it came.
    """

    pixel_values: Tensor
    pixel_mask: Tensor | None
    network_size: tuple[int, int]
    video_size: tuple[int, int]


def prepare_frame(frame: Any, image_processor: FrameProcessor | None, name: str) -> PreparedFrame:
    """Check, resize and normalise one frame; ready-made `pixel_values` are checked and padded.

    Raises:
        TypeError, ValueError: neither.
    """
    if isinstance(frame, Mapping):
        if "pixel_values" not in frame:
            raise UsageError(f"`{name}`: a dictionary must hold `pixel_values`; got {', '.join(map(str, frame))}.")
        return _ready_made(frame["pixel_values"], frame.get("pixel_mask"), name)
    if isinstance(frame, torch.Tensor) and frame.is_floating_point():
        return _ready_made(frame, None, name)
    if image_processor is None:
        raise UsageError(
            f"`{name}` must be pixel_values, a normalised float tensor (3, H, W), as the session has no image "
            f"processor; got {type(frame).__name__}."
        )
    picture = image_processor.process_image(frame, name=name)
    options = {"size": image_processor.video_size, "enlarged_to": image_processor.enlarged_to}
    made = image_processor(picture, input_data_format="channels_first", return_tensors="pt", **options)
    mask = made["pixel_mask"]
    network_size = (int(mask[0, :, 0].sum()), int(mask[0, 0].sum()))
    return _prepared(made["pixel_values"], mask, network_size, (int(picture.shape[-2]), int(picture.shape[-1])))


def _ready_made(values: Tensor, mask: Tensor | None, name: str) -> PreparedFrame:
    """pixel_values (3, H, W) or (1, 3, H, W), padded to multiples of 32 where they are not."""
    if values.dim() == 3:
        values = values[None]
        mask = None if mask is None else mask.reshape(1, *mask.shape[-2:])
    if values.dim() != 4 or values.shape[:2] != (1, 3) or 0 in values.shape:
        raise UsageError(
            f"`{name}` as pixel_values must have shape (3, H, W) or (1, 3, H, W), got {tuple(values.shape)}."
        )
    if not bool(values.isfinite().all()):
        raise UsageError(f"`{name}` has pixels that are NaN or infinite; every pixel must be a finite number.")
    if mask is None:
        mask = torch.ones(1, *values.shape[-2:], dtype=torch.bool, device=values.device)
    if tuple(mask.shape) != (1, *values.shape[-2:]):
        raise UsageError(
            f"`{name}` must have a pixel_mask of its pixel_values' size {tuple(values.shape[-2:])}, got "
            f"{tuple(mask.shape)}."
        )
    mask = mask.bool()
    size = (int(mask[0].any(1).sum()), int(mask[0].any(0).sum()))
    padded = [side + -side % 32 for side in values.shape[-2:]]
    return _prepared(pad_to(values, padded), pad_to(mask, padded), size, size)


def _prepared(
    values: Tensor, mask: Tensor, network_size: tuple[int, int], video_size: tuple[int, int]
) -> PreparedFrame:
    padded = network_size != tuple(values.shape[-2:])
    return PreparedFrame(values, mask if padded else None, network_size, video_size)
