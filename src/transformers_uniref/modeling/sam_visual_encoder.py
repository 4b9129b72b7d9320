"""Image -> one map: Segment Anything's image encoder, for images of one padded size."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamVisionEncoder

from ..core.errors import UsageError
from .configuration_uniref_sam import UniRefSamConfig
from .embedding_cache import EmbeddingCache
from .references import VisualFeatures, pad_to
from .visual_encoder import is_tracing, nearest_mask


class SamVisualEncoder(nn.Module):
    """SAM's ViT and neck; smaller inputs are padded to its size, `config.image_size` in height and width."""

    def __init__(self, config: UniRefSamConfig):
        super().__init__()
        self.image_size = config.image_size
        self.padding_counts_as_image = config.reproduce_released_bugs
        if config.vision_config._attn_implementation not in (None, "eager", "sdpa"):
            # Its relative positions are a bias of the scores, which only these two know.
            config.vision_config._attn_implementation = "sdpa"
        self.backbone = SamVisionEncoder(config.vision_config)
        self.cache: EmbeddingCache | None = None

    def forward(self, pixel_values: Tensor, pixel_mask: Tensor | None, positions: Tensor) -> VisualFeatures:
        """Encode images.

        Args:
            pixel_values: (B, 3, H, W) normalised RGB, zero in the padding; H and W at most `config.image_size`.
            pixel_mask: (B, H, W), non-zero where the image is; None when there is no padding.
            positions: (1, d, h, w), the position embedding of the map.

        Raises:
            ValueError: a larger image.
        """
        size = (self.image_size, self.image_size)
        height, width = pixel_values.shape[-2:]
        if height > size[0] or width > size[1]:
            raise UsageError(
                f"pixel_values must be at most {size[0]} x {size[1]} for this model (its processor resizes to that), "
                f"got {height} x {width}."
            )
        if pixel_mask is None:
            pixel_mask = torch.ones(pixel_values.shape[0], height, width, dtype=torch.bool, device=pixel_values.device)
        pixel_mask = pad_to(pixel_mask.bool(), size)
        pixel_values = pad_to(pixel_values, size)
        level = self._embed(pixel_values) if self.cache is None else self.cache.embed(pixel_values, self._embed)
        mask = nearest_mask(pixel_mask, level)
        features = VisualFeatures(
            stride4=None,
            levels=[level],
            masks=[mask],
            positions=[positions],
            pixel_values=pixel_values,
            pixel_mask=pixel_mask,
            padded=None if is_tracing() else not bool(mask.all()),
        )
        if self.padding_counts_as_image:
            return replace(features, masks=[torch.ones_like(mask)], padded=False)
        return features

    def _embed(self, pixel_values: Tensor) -> Tensor:
        return self.backbone(pixel_values).last_hidden_state
