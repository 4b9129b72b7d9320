"""UniRef++: one model that segments what a sentence, annotated examples, or both refer to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_uniref import UniRefConfig
from .deformable_attention import MultiScaleDeformableAttention
from .deformable_transformer import DeformableTransformer, PerceptronHead, TransformerOutput
from .frame_fusion import SharedFrames
from .fusion import UniFusion, fuse_levels
from .language_reference import LanguageReferenceEncoder
from .losses.criterion import DecoderPredictions, UniRefCriterion
from .mask_head import MaskHead, aligned_upsample
from .mask_reference import MaskReferenceEncoder
from .normalization import FrozenBatchNorm2d
from .references import ProjectedReferences, References, VisualFeatures, merge_shots
from .video_propagation import VideoPropagationMixin
from .video_session import UniRefVideoSession, VideoOutput
from .visual_encoder import VisualEncoder, is_tracing

# The released normalisation; only BoxInst, which compares colours, has to undo it.
_PIXEL_MEAN = (123.675, 116.28, 103.53)
_PIXEL_STD = (58.395, 57.12, 57.375)


@dataclass
class UniRefModelOutput(ModelOutput):
    """Output of [`UniRefModel`] for N entries with Q queries each.

    Attributes:
        loss: scalar, weighted sum of all losses (with labels).
        loss_dict: the unweighted losses by name (with labels).
        logits: (N, Q, classes) class scores before the sigmoid.
        pred_boxes: (N, Q, 4) cx, cy, w, h relative to the valid area of the image.
        pred_masks: (N, num_masks, H/4, W/4) mask logits of the best queries, best first; (N, num_masks, H, W) with
            `full_resolution_masks`.
        mask_queries: (N, num_masks) which query each mask belongs to.
        image_sizes: (N, 2) height and width of the valid area, in pixels.
        hidden_states: one (N, Q, d) a decoder layer (with `output_hidden_states`).
        fused_features: four maps (N, d, H/s, W/s), s = 8 to 64, after fusion (with `output_hidden_states`).
        encoder_last_hidden_state: (N, S, d) memory of the four levels (with `output_hidden_states`).
        encoder_logits: (N, S, classes) scores of every memory token (with `output_hidden_states`).
        encoder_boxes: (N, S, 4) their boxes (with `output_hidden_states`).
    """

    loss: Tensor | None = None
    loss_dict: dict[str, Tensor] | None = None
    logits: Tensor | None = None
    pred_boxes: Tensor | None = None
    pred_masks: Tensor | None = None
    mask_queries: Tensor | None = None
    image_sizes: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    fused_features: tuple[Tensor, ...] | None = None
    encoder_last_hidden_state: Tensor | None = None
    encoder_logits: Tensor | None = None
    encoder_boxes: Tensor | None = None


@dataclass
class DecodedMasks:
    """Masks of chosen queries: `queries` (N, M) and `logits` (N, M, h, w)."""

    queries: Tensor
    logits: Tensor


class UniRefPreTrainedModel(PreTrainedModel):
    """Loading, saving and initialisation."""

    config: UniRefConfig
    config_class = UniRefConfig
    base_model_prefix = "uniref"
    main_input_name = "pixel_values"
    input_modalities = ["image", "text"]
    _no_split_modules = ["EncoderLayer", "DecoderLayer", "ValueFuser", "UniFusion", "MaskHead"]
    supports_gradient_checkpointing = True
    # The losses are normalised inside: a Trainer must not hand over its own count of items.
    accepts_loss_kwargs = False
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    @classmethod
    def is_custom_code(cls) -> bool:
        """False: `_init_weights` writes through `transformers.initialization`, which never touches loaded tensors.

        For other outside packages Transformers skips every module without parameters of its own, and with it what is
        said below about fusion, sampling and heads.
        """
        return False

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            init.kaiming_uniform_(module.weight, a=1)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, FrozenBatchNorm2d):
            init.ones_(module.weight)
            init.zeros_(module.bias)
            init.zeros_(module.running_mean)
            init.ones_(module.running_var)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight)
        elif isinstance(module, MultiScaleDeformableAttention):
            init.zeros_(module.sampling_offsets.weight)
            bias = module.initial_offset_bias(module.heads, module.levels, module.points)
            init.copy_(module.sampling_offsets.bias, bias)
            init.zeros_(module.attention_weights.weight)
            init.zeros_(module.attention_weights.bias)
        elif isinstance(module, UniFusion):
            init.zeros_(module.modulation.weight)
            init.zeros_(module.modulation.bias)
        elif isinstance(module, UniRefCriterion):
            if module.boxinst_loss:
                init.zeros_(module.boxinst_iteration)
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


class UniRefModel(VideoPropagationMixin, UniRefPreTrainedModel):
    """The UniRef++ model (Wu et al., "Segment Every Reference Object in Spatial and Temporal Spaces").

    image -> `encode_image` -> pyramid; sentence -> `encode_language`, annotated frame -> `encode_mask_references`;
    pyramid and references -> `fuse` -> deformable transformer -> queries -> heads -> score, box, mask.
    """

    def __init__(self, config: UniRefConfig):
        super().__init__(config)
        self.visual_encoder = VisualEncoder(config)
        if config.use_language_references:
            self.language_encoder = LanguageReferenceEncoder(config)
        if config.use_mask_references:
            self.mask_encoder = MaskReferenceEncoder(config)
        if config.use_language_references or config.use_mask_references:
            self.fusion = UniFusion(config)
        self.transformer = DeformableTransformer(config)
        # One head a decoder layer and a last one for the proposals.
        heads = config.decoder_layers + 1
        self.class_heads = nn.ModuleList([nn.Linear(config.d_model, config.num_labels or 1) for _ in range(heads)])
        self.box_heads = nn.ModuleList([PerceptronHead(config.d_model, config.d_model, 4) for _ in range(heads)])
        self.mask_head = MaskHead(config, self.visual_encoder.backbone.channels[0])
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

    def encode_language(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> References:
        """Sentences as token ids (N, L), mask (N, L) non-zero for real tokens, to references."""
        if not self.config.use_language_references:
            raise ValueError(
                "input_ids was given, but this model has no text encoder (use_language_references is off)."
            )
        if input_ids.dim() != 2:
            raise ValueError(f"input_ids must have shape (N, L), got {tuple(input_ids.shape)}.")
        if attention_mask is not None and not is_tracing() and not bool(attention_mask.any(1).all()):
            raise ValueError("attention_mask has a row without a valid token: every sentence needs at least one.")
        return self.language_encoder(input_ids, attention_mask)

    def encode_mask_references(self, features: VisualFeatures, masks: Tensor) -> References:
        """Masks (N, H, W) of N frames, or of one frame that all share, to references."""
        if not self.config.use_mask_references:
            raise ValueError(
                "reference_masks was given, but this model has no value encoder (use_mask_references is off)."
            )
        if masks.dim() != 3 or masks.shape[-2:] != features.pixel_values.shape[-2:]:
            raise ValueError(
                f"reference_masks must have the padded size {tuple(features.pixel_values.shape[-2:])} of their frames, "
                f"got {tuple(masks.shape)}."
            )
        return self.mask_encoder(features, masks)

    def project_references(self, references: References) -> ProjectedReferences:
        """Keys and values of references, to be kept for as long as they are used."""
        return self.fusion.project(references)

    def fuse(
        self,
        features: VisualFeatures,
        references: Sequence[ProjectedReferences | SharedFrames],
        image_indices: Tensor | None = None,
    ) -> list[Tensor]:
        """Inject the references of N entries (paper equation 2): four maps (N, d, H/s, W/s).

        Args:
            features: B images; N = B, or B = 1 shared by all entries, or as `image_indices` says.
            references: at most one a modality; empty for detection. `SharedFrames` need B = 1 and no gradients.
            image_indices: (N,) the image of every entry.
        """
        if not references:
            return [level if image_indices is None else level[image_indices] for level in features.levels]
        return fuse_levels(self.fusion, features, references, image_indices)

    def run_transformer(
        self, features: VisualFeatures, fused: list[Tensor], image_indices: Tensor | None = None
    ) -> TransformerOutput:
        """Fused maps of N entries to queries with boxes."""

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

    def forward(
        self,
        pixel_values: Tensor | None = None,
        pixel_mask: Tensor | None = None,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        reference_pixel_values: Tensor | None = None,
        reference_pixel_mask: Tensor | None = None,
        reference_masks: Tensor | None = None,
        labels: list[dict[str, Tensor]] | None = None,
        num_masks: int | str = 1,
        image_indices: Tensor | None = None,
        full_resolution_masks: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        inference_session: UniRefVideoSession | None = None,
        frame: Any = None,
        **kwargs: Any,
    ) -> UniRefModelOutput | VideoOutput | tuple:
        """Segment what the references refer to; without any reference, detect objects.

        Args:
            pixel_values: (B, 3, H, W) normalised RGB, zero in the padding. H and W multiples of 32.
            pixel_mask: (B, H, W), 1 where the image is.
            input_ids: (N, L) sentences as token ids.
            attention_mask: (N, L), 1 for real tokens.
            reference_pixel_values: (N, K, 3, Hr, Wr) K annotated examples an entry.
            reference_pixel_mask: (N, K, Hr, Wr), 1 where the example is.
            reference_masks: (N, K, Hr, Wr) 0/1 masks of the object in the examples.
            labels: N dictionaries with `boxes` (t, 4) cxcywh relative to the valid area, `masks` (t, H, W) and
                `class_labels` (t,); t = 0 says that the object is absent.
            num_masks: how many of the best queries get a mask, or `"all"`.
            image_indices: (N,) which of the B images an entry looks at, so that several references of one image
                share its encoding. Default: N = B, one each.
            full_resolution_masks: upsample mask logits to (H, W), in the output and in the losses (the released rule
                for video object segmentation). Default: `config.full_resolution_masks`.
            output_hidden_states: also return the intermediate features.
            return_dict: False returns a tuple.
            inference_session: follow a session's objects into the next frame of its stream; then only `frame` is read
                and a [`VideoOutput`] returned (see `stream_frame`).
            frame: that frame.

        Raises:
            ValueError: when inputs are missing or their shapes contradict each other.
        """
        output_hidden_states = (
            self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        return_dict = self.config.return_dict if return_dict is None else return_dict
        if full_resolution_masks is None:
            full_resolution_masks = self.config.full_resolution_masks
        if inference_session is not None:
            if pixel_values is not None or input_ids is not None or reference_masks is not None or labels is not None:
                raise ValueError("`inference_session` was given: then `frame` is the only other input.")
            return self.stream_frame(inference_session, frame)
        if kwargs:
            raise TypeError(f"UniRefModel.forward got unknown arguments: {', '.join(sorted(kwargs))}.")
        if pixel_values is None:
            raise ValueError("pixel_values is missing.")
        if pixel_values.dim() != 4:
            raise ValueError(f"pixel_values must have shape (B, 3, H, W), got {tuple(pixel_values.shape)}.")
        if num_masks != "all" and not (isinstance(num_masks, int) and 1 <= num_masks <= self.config.num_queries):
            raise ValueError(
                f'num_masks must be "all" or between 1 and {self.config.num_queries} (num_queries), got {num_masks!r}.'
            )
        references = []
        if input_ids is not None:
            references.append(self.project_references(self.encode_language(input_ids, attention_mask)))
        if reference_masks is not None or reference_pixel_values is not None:
            references.append(
                self.project_references(
                    self._encode_examples(reference_pixel_values, reference_pixel_mask, reference_masks)
                )
            )
        _check_counts(pixel_values.shape[0], references, image_indices)

        features = self.encode_image(pixel_values, pixel_mask)
        fused = self.fuse(features, references, image_indices)
        transformed = self.run_transformer(features, fused, image_indices)
        mask_features = self.mask_features(features, transformed, image_indices)
        image_sizes = features.image_sizes if image_indices is None else features.image_sizes[image_indices]
        logits = self.class_heads[-2](transformed.queries[-1])
        decoded = self.decode_best_masks(transformed, mask_features, logits, image_sizes, num_masks)

        loss, loss_dict = None, None
        if labels is not None:
            predictions = self._predictions(
                transformed, logits, mask_features, image_sizes, features, image_indices, labels, full_resolution_masks
            )
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
            output.hidden_states = tuple(transformed.queries)
            output.fused_features = tuple(fused)
            output.encoder_last_hidden_state = transformed.encoded.memory
            output.encoder_logits = transformed.proposal_logits
            output.encoder_boxes = transformed.proposal_boxes
        return output if return_dict else output.to_tuple()

    def _encode_examples(
        self, pixel_values: Tensor | None, pixel_mask: Tensor | None, masks: Tensor | None
    ) -> References:
        if pixel_values is None or masks is None:
            raise ValueError("reference_pixel_values and reference_masks must be given together.")
        if pixel_values.dim() != 5 or masks.dim() != 4 or pixel_values.shape[:2] != masks.shape[:2]:
            raise ValueError(
                "reference_pixel_values must have shape (N, K, 3, H, W) and reference_masks (N, K, H, W), "
                f"got {tuple(pixel_values.shape)} and {tuple(masks.shape)}."
            )
        features = self.encode_image(
            pixel_values.flatten(0, 1), None if pixel_mask is None else pixel_mask.flatten(0, 1)
        )
        return merge_shots(self.encode_mask_references(features, masks.flatten(0, 1)), pixel_values.shape[1])

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


def _centres(references: Tensor, image_sizes: Tensor) -> Tensor:
    """Centres of boxes (N, Q, 4) in pixels of the image, (N, Q, 2) x and y."""
    return references[..., :2] * image_sizes.flip(-1)[:, None].to(references.dtype)


def _check_counts(images: int, references: list[ProjectedReferences], image_indices: Tensor | None) -> None:
    counts = [reference.levels[0].condition.shape[0] for reference in references]
    expected = images if image_indices is None else image_indices.shape[0]
    if any(count != expected for count in counts):
        raise ValueError(
            f"Every entry needs its references: got {counts} references for {expected} entries "
            f"({images} images, image_indices {'absent' if image_indices is None else tuple(image_indices.shape)})."
        )


__all__ = ["UniRefModel", "UniRefModelOutput", "UniRefPreTrainedModel"]
