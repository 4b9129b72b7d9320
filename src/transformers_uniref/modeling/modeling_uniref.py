"""UniRef++: one model that segments what a sentence, annotated examples, or both refer to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init

from ..core.errors import UsageError
from .configuration_uniref import UniRefConfig
from .deformable_attention import MultiScaleDeformableAttention
from .deformable_transformer import DeformableTransformer, PerceptronHead, TransformerOutput
from .frame_fusion import SharedFrames
from .losses.criterion import MASK_STRIDE, DecoderPredictions, UniRefCriterion
from .mask_head import MaskHead, aligned_upsample
from .mask_pooled_score import LEVELS, MaskPooledScore
from .outputs import UniRefModelOutput
from .reference_model import ReferencePreTrainedModel, ReferenceSegmentationMixin
from .references import ProjectedReferences, VisualFeatures
from .visual_encoder import VisualEncoder

# The released normalisation; only BoxInst, which compares colours, has to undo it.
_PIXEL_MEAN = (123.675, 116.28, 103.53)
_PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass
class DecodedMasks:
    """Masks of chosen queries: `queries` (N, M) and `logits` (N, M, h, w)."""

    queries: Tensor
    logits: Tensor


class UniRefPreTrainedModel(ReferencePreTrainedModel):
    """Loading, saving and initialisation."""

    config: UniRefConfig
    config_class = UniRefConfig
    base_model_prefix = "uniref"
    _no_split_modules = ["EncoderLayer", "DecoderLayer", "ValueFuser", "UniFusion", "MaskHead"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, MultiScaleDeformableAttention):
            init.zeros_(module.sampling_offsets.weight)
            bias = module.initial_offset_bias(module.heads, module.levels, module.points)
            init.copy_(module.sampling_offsets.bias, bias)
            init.zeros_(module.attention_weights.weight)
            init.zeros_(module.attention_weights.bias)
        elif isinstance(module, UniRefCriterion):
            if module.boxinst_loss:
                init.zeros_(module.boxinst_iteration)
        elif isinstance(module, MaskPooledScore):
            init.zeros_(module.output.weight)
            init.zeros_(module.output.bias)
        elif isinstance(module, UniRefModel):
            prior = math.log(0.01 / 0.99)  # every query starts as an unlikely object
            for head in module.class_heads:
                assert isinstance(head, nn.Linear)
                init.normal_(head.weight, std=0.01)
                init.constant_(head.bias, prior)
            for head in module.box_heads:
                assert isinstance(head, PerceptronHead)
                last = head.layers[-1]
                assert isinstance(last, nn.Linear)
                init.zeros_(last.weight)
                init.zeros_(last.bias)
        else:
            super()._init_weights(module)


class UniRefModel(ReferenceSegmentationMixin, UniRefPreTrainedModel):
    """The UniRef++ model (Wu et al., "Segment Every Reference Object in Spatial and Temporal Spaces").

    image -> `encode_image` -> pyramid; sentence -> `encode_language`, annotated frame -> `encode_mask_references`;
    pyramid and references -> `fuse` -> deformable transformer -> queries -> heads -> score, box, mask. Without any
    reference it detects objects.
    """

    def __init__(self, config: UniRefConfig):
        super().__init__(config)
        self.visual_encoder = VisualEncoder(config)
        self.add_reference_encoders(config)
        self.transformer = DeformableTransformer(config)
        # One head a decoder layer and a last one for the proposals.
        heads = config.decoder_layers + 1
        self.class_heads = nn.ModuleList([nn.Linear(config.d_model, config.num_labels or 1) for _ in range(heads)])
        self.box_heads = nn.ModuleList([PerceptronHead(config.d_model, config.d_model, 4) for _ in range(heads)])
        self.mask_head = MaskHead(config, self.visual_encoder.backbone.channels[0])
        self.mask_pooled_score = MaskPooledScore(config) if config.mask_pooled_scores else None
        self.criterion = UniRefCriterion(config)
        self.post_init()

    def set_attn_implementation(self, attn_implementation: str | dict, allow_all_kernels: bool = False) -> None:
        """Change the attention implementation, as in Transformers; a backbone without attention is left alone."""
        backbone = self.visual_encoder.backbone
        if isinstance(attn_implementation, str) and not backbone._supports_sdpa:
            kept = backbone.config._attn_implementation
            attn_implementation = {"": attn_implementation, "text_config": attn_implementation, "backbone_config": kept}
        super().set_attn_implementation(attn_implementation, allow_all_kernels)

    def encode_image(self, pixel_values: Tensor, pixel_mask: Tensor | None = None) -> VisualFeatures:
        """Images (B, 3, H, W), mask (B, H, W) non-zero where the image is, to the visual pyramid."""
        return self.visual_encoder(pixel_values, pixel_mask)

    @property
    def num_queries(self) -> int:
        """Two-stage proposals."""
        return self.config.num_queries

    def run_transformer(
        self, features: VisualFeatures, fused: list[Tensor], image_indices: Tensor | None = None
    ) -> TransformerOutput:
        """Fused maps of N entries to queries with boxes.

        Raises:
            ValueError: the images have fewer positions than the model has queries.
        """
        positions = sum(level.shape[-2] * level.shape[-1] for level in fused)
        if positions < self.num_queries:
            height, width = features.pixel_values.shape[-2:]
            side = _least_square(self.num_queries)
            raise UsageError(
                f"pixel_values of {height}x{width} pixels have {positions} positions, fewer than the "
                f"{self.num_queries} queries of this model (num_queries), which begin at one each; accepted: larger "
                f"images, such as {side}x{side}. The processor resizes to larger ones unless its size was changed."
            )

        def per_entry(maps: list[Tensor]) -> list[Tensor]:
            return maps if image_indices is None else [m[image_indices] for m in maps]

        return self.transformer(
            fused,
            per_entry(features.positions),
            per_entry(features.masks),
            features.padded,
            self.class_heads,
            self.box_heads,
        )

    def mask_features(
        self, features: VisualFeatures, transformed: TransformerOutput, image_indices: Tensor | None = None
    ) -> Tensor:
        """(N, c, H/4, W/4) what the dynamic convolutions read."""
        assert features.stride4 is not None
        return self.mask_head.features(transformed.encoded.maps(), features.stride4, image_indices)

    def decode_best_masks(
        self,
        transformed: TransformerOutput,
        mask_features: Tensor,
        logits: Tensor,
        image_sizes: Tensor,
        num_masks: int | str = 1,
    ) -> DecodedMasks:
        """Masks of the `num_masks` best queries (`"all"`: of every query, in their own order)."""
        if num_masks == "all":
            chosen = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[0], -1)
        else:
            chosen = logits.amax(-1).topk(int(num_masks), dim=1).indices
        queries = transformed.queries[-1].gather(1, chosen[..., None].expand(-1, -1, self.config.d_model))
        centres = _centres(transformed.references[-1], image_sizes)
        centres = centres.gather(1, chosen[..., None].expand(-1, -1, 2))
        return DecodedMasks(chosen, self.mask_head.masks(queries, centres, mask_features))

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
    ) -> UniRefModelOutput:
        """See `ReferenceSegmentationMixin`."""
        transformed = self.run_transformer(features, fused, image_indices)
        mask_features = self.mask_features(features, transformed, image_indices)
        image_sizes = features.image_sizes if image_indices is None else features.image_sizes[image_indices]
        query_logits = self.class_heads[-2](transformed.queries[-1])
        logits, all_masks = self.score_queries(
            query_logits, transformed, mask_features, features, fused, references, image_indices
        )
        decoded = self.decode_best_masks(transformed, mask_features, logits, image_sizes, num_masks)

        loss, loss_dict = None, None
        if labels is not None:
            predictions = self._predictions(
                transformed,
                query_logits,
                mask_features,
                image_sizes,
                features,
                image_indices,
                labels,
                full_resolution_masks,
            )
            if all_masks is not None:
                predictions.scores, predictions.masks = logits[..., 0], all_masks
            loss, loss_dict = self.criterion(predictions, labels)

        output = UniRefModelOutput(
            loss=loss,
            loss_dict=loss_dict,
            logits=logits,
            pred_boxes=transformed.boxes[-1],
            pred_masks=aligned_upsample(decoded.logits) if full_resolution_masks else decoded.logits,
            mask_queries=decoded.queries,
            image_sizes=image_sizes,
        )
        if output_hidden_states:
            output["hidden_states"] = tuple(transformed.queries)
            output["encoder_last_hidden_state"] = transformed.encoded.memory
            output["encoder_logits"] = transformed.proposal_logits
            output["encoder_boxes"] = transformed.proposal_boxes
        return output

    def segment_objects(
        self, features: VisualFeatures, references: Sequence[ProjectedReferences | SharedFrames]
    ) -> tuple[Tensor, Tensor]:
        """Find N objects in one frame; see `VideoPropagationMixin`.

        Masks of objects without a sentence, and all with `config.full_resolution_masks`, are upsampled by the "aligned
        bilinear" rule, others by the plain one.
        """
        logits, decoded = self._segment(features, references, 1)
        scores = logits.float().sigmoid().flatten(1).amax(1)
        return scores, self._grown(decoded.logits, references)[:, 0]

    def segment_all_objects(
        self,
        features: VisualFeatures,
        references: Sequence[ProjectedReferences | SharedFrames],
        choose: Callable[[Tensor, Tensor], list[int]],
    ) -> tuple[Tensor, Tensor]:
        """Find all objects in one frame that one reference means; see `VideoPropagationMixin`."""
        logits, decoded = self._segment(features, references, "all")
        scores = logits.float().sigmoid().amax(-1)[0]
        chosen = choose(decoded.logits[0], scores)
        masks = decoded.logits[0, chosen, None]
        # Nothing cannot be resized.
        return scores[chosen], self._grown(masks, references)[:, 0] if chosen else masks[:, 0]

    def _segment(
        self, features: VisualFeatures, references: Sequence[ProjectedReferences | SharedFrames], num_masks: int | str
    ) -> tuple[Tensor, DecodedMasks]:
        """Class logits (N, Q, classes) of all queries, and masks of the best or of all of them."""
        fused = self.fuse(features, references)
        transformed = self.run_transformer(features, fused)
        mask_features = self.mask_features(features, transformed)
        query_logits = self.class_heads[-2](transformed.queries[-1])
        logits, _ = self.score_queries(query_logits, transformed, mask_features, features, fused, references)
        image_sizes = features.image_sizes.expand(logits.shape[0], -1)
        return logits, self.decode_best_masks(transformed, mask_features, logits, image_sizes, num_masks)

    def _grown(self, logits: Tensor, references: Sequence[ProjectedReferences | SharedFrames]) -> Tensor:
        """Mask logits (N, n, H/4, W/4) at the padded input size."""
        if self.config.full_resolution_masks or not any(reference.kind == "language" for reference in references):
            return aligned_upsample(logits)
        return F.interpolate(logits, scale_factor=MASK_STRIDE, mode="bilinear", align_corners=False)

    def score_queries(
        self,
        query_logits: Tensor,
        transformed: TransformerOutput,
        mask_features: Tensor,
        features: VisualFeatures,
        fused: list[Tensor],
        references: Sequence[ProjectedReferences | SharedFrames],
        image_indices: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Class logits of all queries, with `mask_pooled_scores` those that also see what a mask covers.

        Args:
            query_logits: (N, Q, classes), from the queries alone.
            transformed, mask_features, features, fused, references: what the queries were found by.
            image_indices: (N,) which image each entry looks at; None: its own.

        Returns:
            (N, Q, classes), and the mask logits (N, Q, H/4, W/4) of every query, without gradients, where they were
            looked at.
        """
        if self.mask_pooled_score is None:
            return query_logits, None
        count = query_logits.shape[0]
        image_sizes = (
            features.image_sizes.expand(count, -1) if image_indices is None else features.image_sizes[image_indices]
        )
        with torch.no_grad():
            centres = _centres(transformed.references[-1], image_sizes)
            masks = self.mask_head.masks(transformed.queries[-1], centres, mask_features)

        def per_entry(maps: list[Tensor]) -> list[Tensor]:
            return [m.expand(count, *m.shape[1:]) if image_indices is None else m[image_indices] for m in maps[:LEVELS]]

        added = self.mask_pooled_score(
            transformed.queries[-1],
            transformed.boxes[-1],
            masks,
            [per_entry(features.levels), fused[:LEVELS], transformed.encoded.maps()[:LEVELS]],
            per_entry(features.masks),
            [reference.conditions[0].expand(count, -1) for reference in references],
        )
        return query_logits + added[..., None], masks

    def _predictions(
        self,
        transformed: TransformerOutput,
        logits: Tensor,
        mask_features: Tensor,
        image_sizes: Tensor,
        features: VisualFeatures,
        image_indices: Tensor | None,
        labels: list[dict[str, Tensor]],
        full_resolution: bool,
    ) -> DecoderPredictions:
        def decode_masks(layer: int, entries: Tensor, queries: Tensor) -> Tensor:
            chosen = transformed.queries[layer][entries, queries][:, None]
            centres = _centres(transformed.references[layer], image_sizes)[entries, queries][:, None]
            masks = self.mask_head.masks(chosen, centres, mask_features[entries])
            return aligned_upsample(masks) if full_resolution else masks

        earlier = [head(q) for head, q in zip(self.class_heads, transformed.queries[:-1], strict=False)]
        predictions = DecoderPredictions(
            logits=[*earlier, logits],
            boxes=transformed.boxes,
            encoder_logits=transformed.proposal_logits,
            encoder_boxes=transformed.proposal_boxes,
            decode_masks=decode_masks,
            full_resolution=full_resolution,
        )
        if self.config.boxinst_loss:
            mean = features.pixel_values.new_tensor(_PIXEL_MEAN)[:, None, None]
            std = features.pixel_values.new_tensor(_PIXEL_STD)[:, None, None]
            images = (features.pixel_values * std + mean).round() * features.pixel_mask[:, None]
            predictions.images = images if image_indices is None else images[image_indices]
            predictions.image_sizes = image_sizes
            predictions.original_heights = torch.stack(
                [
                    label["original_size"][0].to(image_sizes) if "original_size" in label else size[0]
                    for label, size in zip(labels, image_sizes, strict=True)
                ]
            )
        return predictions


def _least_square(num_queries: int) -> int:
    """Side, a multiple of 32, of the smallest square image that has as many positions on the levels 8x to 64x."""
    side = 32
    while sum((-(-side // stride)) ** 2 for stride in (8, 16, 32, 64)) < num_queries:
        side += 32
    return side


def _centres(references: Tensor, image_sizes: Tensor) -> Tensor:
    """Centres of boxes (N, Q, 4) in pixels of the image, (N, Q, 2) x and y."""
    return references[..., :2] * image_sizes.flip(-1)[:, None].to(references.dtype)


__all__ = ["UniRefModel", "UniRefModelOutput", "UniRefPreTrainedModel"]
