"""The image processor that needs nothing beyond Pillow and NumPy; its resizing is the released one to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_base import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict

from ..core.picture_input import rgb_array
from .image_processing_common import UniRefImageProcessorBase
from .image_sizes import limited_size


class UniRefImageProcessorPil(UniRefImageProcessorBase, PilBackend):
    """Pictures -> `pixel_values`, `pixel_mask`, with PIL. Saved and loaded under the name `UniRefImageProcessor`.

    Example:
        >>> from PIL import Image
        >>> processor = UniRefImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 100})
        >>> processor(Image.new("RGB", (200, 100))).pixel_values.shape
        torch.Size([1, 3, 64, 128])
    """

    def process_image(  # type: ignore[override]
        self, image: Any, input_data_format: Any = None, name: str = "images", **kwargs: Any
    ) -> np.ndarray:
        """One picture as uint8 (3, H, W); `name` is the argument that an error message blames."""
        return np.moveaxis(rgb_array(image, name, input_data_format), -1, 0)

    def resize(  # type: ignore[override]
        self,
        image: np.ndarray,
        size: SizeDict,
        resample: PILImageResampling | None = None,
        enlarged_to: SizeDict | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """uint8 (3, H, W) -> uint8 (3, h, w)."""
        height, width = limited_size(image.shape[-2], image.shape[-1], size, enlarged_to)
        if (height, width) == image.shape[-2:]:
            return image
        picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
        chosen = PILImageResampling.BILINEAR if resample is None else resample
        return np.moveaxis(np.asarray(picture.resize((width, height), resample=chosen)), -1, 0)

    def _preprocess(  # type: ignore[override]
        self,
        images: list[np.ndarray],
        do_resize: bool,
        size: SizeDict,
        resample: PILImageResampling | None,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: tuple[float, ...],
        image_std: tuple[float, ...],
        do_pad: bool,
        pad_size: SizeDict | None,
        pad_size_divisor: int | None,
        return_tensors: Any,
        enlarged_to: SizeDict | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        if do_resize:
            images = [self.resize(image, size, resample, enlarged_to) for image in images]
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        height, width = self._padded_size(sizes, do_pad, pad_size_divisor, pad_size)
        pixel_values = np.zeros((len(images), 3, height, width), dtype=np.float32)
        pixel_mask = np.zeros((len(images), height, width), dtype=np.int64)
        for index, (image, (h, w)) in enumerate(zip(images, sizes, strict=True)):
            values = pixel_values[index, :, :h, :w]
            values[...] = image
            if do_rescale:
                values *= rescale_factor
            if do_normalize:
                values -= np.asarray(image_mean, dtype=np.float32).reshape(-1, 1, 1)
                values /= np.asarray(image_std, dtype=np.float32).reshape(-1, 1, 1)
            pixel_mask[index, :h, :w] = 1
        return BatchFeature({"pixel_values": pixel_values, "pixel_mask": pixel_mask}, tensor_type=return_tensors)
