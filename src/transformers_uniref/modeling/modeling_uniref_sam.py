"""UniRef-SAM: UniFusion as a plug-in of Segment Anything (paper section 3.6, released details)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPositionalEmbedding, SamPromptEncoder

from ..core.errors import UsageError
from .configuration_uniref_sam import UniRefSamConfig
from .embedding_cache import EmbeddingCache
from .frame_fusion import SharedFrames
from .losses.sam_criterion import UniRefSamCriterion
from .outputs import UniRefModelOutput
from .reference_model import ReferencePreTrainedModel, ReferenceSegmentationMixin
from .references import ProjectedReferences, VisualFeatures
from .sam_visual_encoder import SamVisualEncoder

# A predicted IoU becomes a logit and back: nothing is lost to three digits behind the comma of what a score may be.
_SCORE_MARGIN = 1e-6


@dataclass
class UniRefSamModelOutput(UniRefModelOutput):
    """Output of [`UniRefSamModel`] for N entries: that of [`UniRefModel`] with one query, one class and no boxes.

    Attributes:
        logits: (N, 1, 1) whose sigmoid is the predicted IoU, limited to 0..1.
        iou_scores: (N, 1) the IoU of the mask with the object as SAM's decoder predicts it; may exceed 1.
    """

    iou_scores: Tensor | None = None


class UniRefSamPreTrainedModel(ReferencePreTrainedModel):
    """Loading, saving and initialisation."""

    config: UniRefSamConfig
    config_class = UniRefSamConfig
    base_model_prefix = "uniref_sam"
    _no_split_modules = ["SamVisionLayer", "SamTwoWayAttentionBlock", "ValueFuser", "UniFusion"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, SamPositionalEmbedding):
            init.normal_(module.positional_embedding)
        else:
            super()._init_weights(module)


class UniRefSamModel(ReferenceSegmentationMixin, UniRefSamPreTrainedModel):
    """Segment Anything that is prompted by a sentence or by annotated examples instead of points and boxes.

    image -> SAM's image encoder -> one map; references as in [`UniRefModel`]; map and references -> `fuse` -> SAM's
    mask decoder, whose one sparse prompt is the condition vector of the reference: of the sentence where there is one,
    else of the annotated frames. One mask an entry; its score is the IoU that the decoder predicts.
    """

    def __init__(self, config: UniRefSamConfig):
        super().__init__(config)
        self.visual_encoder = SamVisualEncoder(config)
        sam_config: Any = config  # of which it reads the two parts that this one has as well
        self.prompt_encoder = SamPromptEncoder(sam_config)
        # The decoder is no model of its own that would choose it.
        config.mask_decoder_config._attn_implementation = config._attn_implementation
        self.mask_decoder = SamMaskDecoder(config.mask_decoder_config)
        self.add_reference_encoders(config)
        self.criterion = UniRefSamCriterion(config)
        self.post_init()

    def set_attn_implementation(self, attn_implementation: str | dict, allow_all_kernels: bool = False) -> None:
        """Change the attention implementation, as in Transformers; SAM's image encoder keeps what it was made with."""
        if isinstance(attn_implementation, str):
            kept = self.config.vision_config._attn_implementation
            names = ("", "text_config", "mask_decoder_config", "prompt_encoder_config")
            attn_implementation = dict.fromkeys(names, attn_implementation) | {"vision_config": kept}
        super().set_attn_implementation(attn_implementation, allow_all_kernels)

    @property
    def num_queries(self) -> int:
        """SAM's decoder is asked for one mask."""
        return 1

    def image_positions(self) -> Tensor:
        """(1, d, h, w) SAM's position embedding of the centres of the map's cells."""
        embedding = self.prompt_encoder.shared_embedding
        side = self.prompt_encoder.image_embedding_size[0]
        dtype, device = embedding.positional_embedding.dtype, embedding.positional_embedding.device
        centres = (torch.arange(side, device=device, dtype=dtype) + 0.5) / side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        return embedding(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]

    def encode_image(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> VisualFeatures:
        """Images (B, 3, H, W), mask (B, H, W) non-zero where the image is, to SAM's image embedding."""
        return self.visual_encoder(pixel_values, pixel_mask, self.image_positions())

    def cache_image_embeddings(self, folder: str | os.PathLike[str] | None) -> None:
        """Keep the image embeddings of the frozen image encoder in a folder, and read them from there.

        For training on pictures that come again unaltered: from the second epoch on the image encoder does not run.
        The results are the same. Another set of weights of the encoder uses the folder without harm, once this is
        called again.

        Args:
            folder: see `EmbeddingCache`; None computes all embeddings again.

        Raises:
            ValueError: the image encoder is not frozen.
        """
        self.visual_encoder.cache = None if folder is None else EmbeddingCache(folder, self.visual_encoder.backbone)

    def decode_masks(
        self,
        features: VisualFeatures,
        fused: list[Tensor],
        references: Sequence[ProjectedReferences | SharedFrames],
    ) -> tuple[Tensor, Tensor]:
        """Mask logits (N, H/4, W/4) and predicted IoUs (N,).

        Raises:
            ValueError: no reference.
        """
        if not references:
            raise UsageError(
                "a reference is missing: UniRef-SAM has nothing to detect by itself; give input_ids, or "
                "reference_pixel_values with reference_masks."
            )
        reference = next((item for item in references if item.kind == "language"), references[0])
        prompt = reference.conditions[0].to(fused[0].dtype)[:, None, None].expand(fused[0].shape[0], -1, -1, -1)
        _, no_mask = self.prompt_encoder(None, None, None, None)
        masks, scores = self.mask_decoder(
            image_embeddings=fused[0],
            image_positional_embeddings=features.positions[0],
            sparse_prompt_embeddings=prompt,
            dense_prompt_embeddings=no_mask,
            multimask_output=False,
        )
        return masks[:, 0, 0], scores[:, 0, 0]

    def decode(
        self,
        features: VisualFeatures,
        fused: list[Tensor],
        references: Sequence[ProjectedReferences],
        image_indices: Tensor | None,
        labels: list[dict[str, Tensor]] | None,
        num_masks: int | str,
        full_resolution_masks: bool,
        output_hidden_states: bool,
    ) -> UniRefSamModelOutput:
        """See `ReferenceSegmentationMixin`. The losses are always at full resolution."""
        logits, scores = self.decode_masks(features, fused, references)
        loss, loss_dict = None, None
        if labels is not None:
            loss, loss_dict = self.criterion(_grow(logits, features), labels)
        bounded = scores.float().clamp(_SCORE_MARGIN, 1 - _SCORE_MARGIN)
        return UniRefSamModelOutput(
            loss=loss,
            loss_dict=loss_dict,
            logits=bounded.logit()[:, None, None],
            pred_masks=(_grow(logits, features) if full_resolution_masks else logits)[:, None],
            mask_queries=torch.zeros(len(logits), 1, dtype=torch.long, device=logits.device),
            image_sizes=features.image_sizes if image_indices is None else features.image_sizes[image_indices],
            iou_scores=scores[:, None],
        )

    def segment_objects(
        self,
        features: VisualFeatures,
        references: Sequence[ProjectedReferences | SharedFrames],
        choose: Callable[[Tensor, Tensor], list[int]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Find objects in one frame; this model has one answer a reference. See `VideoPropagationMixin`."""
        logits, scores = self.decode_masks(features, self.fuse(features, references), references)
        scores, masks = scores.float().clamp(0, 1), _grow(logits, features)
        if choose is None:
            return scores, masks
        chosen = choose(masks, scores)
        return scores[chosen], masks[chosen]

    def soft_masks(self, logits: Tensor) -> Tensor:
        """What is resized, gated and merged: probabilities, or as released the logits themselves."""
        return logits.float() if self.config.reproduce_released_bugs else super().soft_masks(logits)


def _grow(logits: Tensor, features: VisualFeatures) -> Tensor:
    """Mask logits (N, h, w) at the padded input size, bilinear."""
    size = features.pixel_values.shape[-2:]
    return F.interpolate(logits[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


__all__ = ["UniRefSamModel", "UniRefSamModelOutput", "UniRefSamPreTrainedModel"]
