"""The image processor on torchvision: tensors stay on their device, pictures of one size are resized together.

Needs torchvision; `transformers_uniref.processors.UniRefImageProcessor` falls back to PIL where it is absent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torchvision.transforms.v2 import functional as tvF
from transformers.image_processing_backends import TorchvisionBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_transforms import group_images_by_shape, reorder_images
from transformers.image_utils import PILImageResampling, SizeDict, pil_torch_interpolation_mapping

from ..core.picture_input import rgb_array
from .image_processing_common import UniRefImageProcessorBase
from .image_sizes import limited_size


def _is_ready(image: Any, input_data_format: Any) -> bool:
    """Whether it is a uint8 tensor (3, H, W) already, which then never leaves its device."""
    return (
        isinstance(image, torch.Tensor)
        and image.dtype == torch.uint8
        and image.ndim == 3
        and image.shape[0] == 3
        and image.numel() > 0
        and getattr(input_data_format, "value", input_data_format) in (None, "channels_first")
    )


class UniRefImageProcessor(UniRefImageProcessorBase, TorchvisionBackend):
    """Pictures -> `pixel_values`, `pixel_mask`, with torchvision. Differs from PIL by at most 1/255 a pixel."""

    def process_image(  # type: ignore[override]
        self,
        image: Any,
        input_data_format: Any = None,
        device: str | torch.device | None = None,
        name: str = "images",
        **kwargs: Any,
    ) -> torch.Tensor:
        """One picture as a uint8 tensor (3, H, W), on `device` or where it was.

        `name` is the argument that an error message blames.
        """
        if _is_ready(image, input_data_format):
            return image if device is None else image.to(device)
        if device is None and isinstance(image, torch.Tensor):
            device = image.device
        pixels = rgb_array(image, name, input_data_format).transpose(2, 0, 1)
        return torch.from_numpy(np.ascontiguousarray(pixels)).to(device)

    def resize(
        self,
        image: torch.Tensor,
        size: SizeDict,
        resample: Any = None,
        antialias: bool = True,
        enlarged_to: SizeDict | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """uint8 (..., 3, H, W) -> uint8 (..., 3, h, w)."""
        height, width = limited_size(image.shape[-2], image.shape[-1], size, enlarged_to)
        if (height, width) == tuple(image.shape[-2:]):
            return image
        chosen = PILImageResampling.BILINEAR if resample is None else resample
        if isinstance(chosen, (PILImageResampling, int)):
            chosen = pil_torch_interpolation_mapping[PILImageResampling(chosen)]
        return tvF.resize(image, [height, width], interpolation=chosen, antialias=antialias)

    def _preprocess(  # type: ignore[override]
        self,
        images: list[torch.Tensor],
        do_resize: bool,
        size: SizeDict,
        resample: Any,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: Any,
        image_std: Any,
        do_pad: bool,
        pad_size: SizeDict | None,
        pad_size_divisor: int | None,
        disable_grouping: bool | None,
        return_tensors: Any,
        enlarged_to: SizeDict | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        groups, order = group_images_by_shape(images, disable_grouping=disable_grouping)
        done = {}
        for shape, stack in groups.items():
            if do_resize:
                stack = self.resize(stack, size, resample, enlarged_to=enlarged_to)
            done[shape] = self.rescale_and_normalize(
                stack.float(), do_rescale, rescale_factor, do_normalize, image_mean, image_std
            )
        resized = reorder_images(done, order)
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in resized]
        height, width = self._padded_size(sizes, do_pad, pad_size_divisor, pad_size)
        pixel_values = resized[0].new_zeros(len(resized), 3, height, width)
        pixel_mask = torch.zeros(len(resized), height, width, dtype=torch.int64, device=pixel_values.device)
        for index, (image, (h, w)) in enumerate(zip(resized, sizes, strict=True)):
            pixel_values[index, :, :h, :w] = image
            pixel_mask[index, :h, :w] = 1
        return BatchFeature({"pixel_values": pixel_values, "pixel_mask": pixel_mask}, tensor_type=return_tensors)
