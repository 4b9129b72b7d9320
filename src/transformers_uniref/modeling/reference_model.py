"""What every model family does alike: references in, fused with what the visual encoder sees, masks out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import initialization as init

from ..core.errors import KindError, UsageError
from .audio_reference import AudioReferenceEncoder
from .configuration_references import ReferenceFusionConfig
from .frame_fusion import SharedFrames
from .fusion import UniFusion, fuse_levels
from .fusion_attention import by_reference, record_fusion_attention
from .language_reference import LanguageReferenceEncoder
from .mask_reference import MaskReferenceEncoder
from .normalization import FrozenBatchNorm2d
from .outputs import UniRefModelOutput
from .point_reference import PointReferenceEncoder
from .references import ProjectedReferences, References, VisualFeatures, joined, merge_shots, pad_to
from .shared_model import SharedModel
from .video.propagation import VideoPropagationMixin
from .video.session import UniRefVideoSession, VideoOutput
from .visual_encoder import is_tracing


class ReferencePreTrainedModel(SharedModel):
    """Loading, saving and initialisation of the parts that the families share."""

    config: ReferenceFusionConfig
    main_input_name = "pixel_values"
    input_modalities = ["image", "text"]
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
        said below about fusion and heads.
        """
        return False

    def load_adapter(
        self, peft_model_id: str | None = None, adapter_name: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Load an adapter into this model, as in Transformers; `from_pretrained` of an adapter folder comes here too.

        Args:
            peft_model_id: folder or Hub id of the adapter.
            adapter_name: what to call it, for `set_adapter`; by default "default".
            *args, **kwargs: see `PreTrainedModel.load_adapter`.

        Raises:
            AdapterError: its weights are a pickle (without `use_safetensors=False`), or it was made for a model of
                other sizes; nothing has been changed then.
        """
        load_config = kwargs.get("load_config")
        asked = kwargs.get("use_safetensors", getattr(load_config, "use_safetensors", None))
        source = peft_model_id or getattr(load_config, "pretrained_model_name_or_path", None)
        if source is not None:
            from ..adapters.folders import check_adapter

            download = {**(getattr(load_config, "download_kwargs", None) or {}), **(kwargs.get("adapter_kwargs") or {})}
            check_adapter(source, self, allow_pickle=asked is False, **download)
        return super().load_adapter(peft_model_id, adapter_name, *args, **kwargs)

    def enable_adapters(self) -> None:
        """Use the adapters again after `disable_adapters`; Transformers leaves their copies of modules off."""
        super().enable_adapters()
        from peft.utils import ModulesToSaveWrapper

        for module in self.modules():
            if isinstance(module, ModulesToSaveWrapper):
                module.enable_adapters(True)

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
        elif isinstance(module, UniFusion):
            init.zeros_(module.modulation.weight)
            init.zeros_(module.modulation.bias)
        elif isinstance(module, PointReferenceEncoder):
            module.initialise_()
        else:
            super()._init_weights(module)


class ReferenceSegmentationMixin(VideoPropagationMixin):
    """Reference encoders, fusion and the calls of a model. A family adds `encode_image`, `decode`, `segment_objects`.

    image -> `encode_image` -> maps; sentence -> `encode_language`, annotated frame -> `encode_mask_references`; maps
    and references -> `fuse` -> `decode` -> scores and masks.
    """

    if TYPE_CHECKING:
        config: Any
        language_encoder: LanguageReferenceEncoder
        mask_encoder: MaskReferenceEncoder
        point_encoder: PointReferenceEncoder
        audio_encoder: AudioReferenceEncoder

    def add_reference_encoders(self, config: ReferenceFusionConfig) -> None:
        """Make the sub-modules that `config` asks for."""
        if config.use_language_references:
            self.language_encoder = LanguageReferenceEncoder(config)
        if config.use_mask_references:
            self.mask_encoder = MaskReferenceEncoder(config)
        if config.use_point_references:
            self.point_encoder = PointReferenceEncoder(config)
        if config.use_audio_references:
            self.audio_encoder = AudioReferenceEncoder(config)
        if any(getattr(config, f"use_{kind}_references") for kind in ("language", "mask", "point", "audio")):
            self.fusion = UniFusion(config)

    @property
    def num_queries(self) -> int:
        """How many objects an entry may have."""
        raise NotImplementedError

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
        """Scores and masks of N entries, and losses with labels; the arguments are those of `forward`.

        Args:
            features: B images.
            fused: what `fuse` made of them, N entries.
            references: those that acted.
        """
        raise NotImplementedError

    def encode_language(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> References:
        """Sentences as token ids (N, L), mask (N, L) non-zero for real tokens, to references."""
        if not self.config.use_language_references:
            raise UsageError(
                "input_ids was given, but this model has no text encoder (use_language_references is off)."
            )
        if input_ids.dim() != 2:
            raise UsageError(f"input_ids must have shape (N, L), got {tuple(input_ids.shape)}.")
        if attention_mask is not None and not is_tracing() and not bool(attention_mask.any(1).all()):
            raise UsageError("attention_mask has a row without a valid token: every sentence needs at least one.")
        return self.language_encoder(input_ids, attention_mask)

    def encode_audio(self, audio_values: Tensor, audio_mask: Tensor | None = None) -> References:
        """Sounds as the processor's `audio_values` (N, ...) and `audio_mask` (N, T) to references."""
        if not self.config.use_audio_references:
            raise UsageError(
                "audio was given, but this model hears nothing (use_audio_references is off); docs/sound.md says how "
                "to give it an audio encoder."
            )
        return self.audio_encoder(audio_values, audio_mask)

    def encode_said(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None = None,
        audio_values: Tensor | None = None,
        audio_mask: Tensor | None = None,
    ) -> References | None:
        """What is said of N objects: sentences, sounds or both, as one reference; None of neither."""
        said = None if input_ids is None else self.encode_language(input_ids, attention_mask)
        if audio_values is None:
            return said
        heard = self.encode_audio(audio_values, audio_mask)
        if said is None:
            return heard
        if len(said.levels[0].keys) != len(heard.levels[0].keys):
            raise UsageError(
                f"`input_ids` and `audio_values` must describe equally many entries, got "
                f"{len(said.levels[0].keys)} sentences and {len(heard.levels[0].keys)} sounds."
            )
        return joined(said, heard)

    def encode_mask_references(self, features: VisualFeatures, masks: Tensor) -> References:
        """Masks (N, H, W) of N frames, or of one frame that all share, to references."""
        if not self.config.use_mask_references:
            raise UsageError(
                "reference_masks was given, but this model has no value encoder (use_mask_references is off)."
            )
        if masks.dim() != 3 or masks.shape[-2:] != features.pixel_values.shape[-2:]:
            raise UsageError(
                f"reference_masks must have the padded size {tuple(features.pixel_values.shape[-2:])} of their frames, "
                f"got {tuple(masks.shape)}."
            )
        return self.mask_encoder(features, masks)

    def encode_points(
        self,
        features: VisualFeatures,
        points: Tensor | None,
        labels: Tensor | None,
        boxes: Tensor | None = None,
        image_indices: Tensor | None = None,
    ) -> References:
        """Clicks and boxes in the images of N entries to references; the arguments are those of `forward`."""
        if not self.config.use_point_references:
            raise UsageError(
                "input_points or input_boxes was given, but this model has no encoder of them (use_point_references is "
                "off)."
            )
        if (points is None) != (labels is None):
            raise UsageError("input_points and input_labels must be given together.")
        if points is None or labels is None:
            if boxes is None:
                raise UsageError("input_points and input_boxes are both missing; give at least one.")
            points, labels = boxes.new_zeros(len(boxes), 0, 2), boxes.new_zeros(len(boxes), 0, dtype=torch.long)
        if points.dim() != 3 or points.shape[2] != 2 or labels.shape != points.shape[:2]:
            raise UsageError(
                f"input_points must have shape (N, P, 2) and input_labels (N, P), got {tuple(points.shape)} and "
                f"{tuple(labels.shape)}."
            )
        if boxes is not None and boxes.shape != (len(points), 4):
            raise UsageError(f"input_boxes must have shape ({len(points)}, 4), got {tuple(boxes.shape)}.")
        images = len(features.pixel_mask)
        expected = images if image_indices is None else len(image_indices)
        if len(points) != expected and not (images == 1 and image_indices is None):
            raise UsageError(f"Every entry needs its references: got {len(points)} of input_points for {expected}.")
        return self.point_encoder(features, points, labels, boxes, image_indices)

    def project_references(self, references: References) -> ProjectedReferences:
        """Keys and values of references, to be kept for as long as they are used."""
        return self.fusion.project(references)

    def fuse(
        self,
        features: VisualFeatures,
        references: Sequence[ProjectedReferences | SharedFrames],
        image_indices: Tensor | None = None,
    ) -> list[Tensor]:
        """Inject the references of N entries (paper equation 2): maps (N, d, H/s, W/s), one a level.

        Args:
            features: B images; N = B, or B = 1 shared by all entries, or as `image_indices` says.
            references: at most one a modality; empty for detection. `SharedFrames` need B = 1 and no gradients.
            image_indices: (N,) the image of every entry.
        """
        if not references:
            return [level if image_indices is None else level[image_indices] for level in features.levels]
        return fuse_levels(self.fusion, features, references, image_indices)

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
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
        inference_session: UniRefVideoSession | None = None,
        frame: Any = None,
        input_points: Tensor | None = None,
        input_boxes: Tensor | None = None,
        audio_values: Tensor | None = None,
        audio_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> UniRefModelOutput | VideoOutput | tuple:
        """Segment what the references refer to; without any, all objects (detection: no fusion), which SAM cannot.

        Args:
            pixel_values: (B, 3, H, W) normalised RGB, zero in the padding; H and W multiples of 32 (SAM: at most its
                input size, to which the model pads).
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
            full_resolution_masks: mask logits at (H, W); [`UniRefModel`] then has its mask losses there too (the
                released rule for video object segmentation). Default: `config.full_resolution_masks`.
            output_hidden_states: also return the intermediate features.
            output_attentions: also return `fusion_attentions`. They are computed apart from the fused attention kernel
                and take (N, heads, S, T) numbers a level: much for large pictures with annotated examples.
            return_dict: False returns a tuple.
            inference_session: follow a session's objects into the next frame of its stream; then only `frame` is read
                and a [`VideoOutput`] returned (see `stream_frame`).
            input_points: (N, P, 2) clicks in the images themselves, x and y as shares of the valid area's sides.
            input_labels: (N, P), 1: the object is here, 0: it is not, below 0: no click.
            input_boxes: (N, 4) x0, y0, x1, y1 around the object in the same unit; without an inside: no box.
            audio_values: (N, ...) sounds, as the processor's extractor makes them; with sentences both count.
            audio_mask: (N, T), 1 for what is no padding.

        Raises:
            ValueError: when inputs are missing, their shapes contradict each other, or images are too small for the
                model's queries.
        """
        output_hidden_states = (
            self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        )
        output_attentions = self.config.output_attentions if output_attentions is None else output_attentions
        return_dict = self.config.return_dict if return_dict is None else return_dict
        if full_resolution_masks is None:
            full_resolution_masks = self.config.full_resolution_masks
        if inference_session is not None:
            if pixel_values is not None or input_ids is not None or reference_masks is not None or labels is not None:
                raise UsageError("`inference_session` was given: then `frame` is the only other input.")
            return self.stream_frame(inference_session, frame)
        # No parameter of its own: a Trainer takes every one with "label" in its name for something to predict.
        input_labels = kwargs.pop("input_labels", None)
        if kwargs:
            raise KindError(f"{type(self).__name__}.forward got unknown arguments: {', '.join(sorted(kwargs))}.")
        if pixel_values is None:
            raise UsageError("pixel_values is missing.")
        if pixel_values.dim() != 4:
            raise UsageError(f"pixel_values must have shape (B, 3, H, W), got {tuple(pixel_values.shape)}.")
        if num_masks != "all" and not (isinstance(num_masks, int) and 1 <= num_masks <= self.num_queries):
            raise UsageError(
                f'num_masks must be "all" or between 1 and {self.num_queries} (its queries), got {num_masks!r}.'
            )
        references = []
        said = self.encode_said(input_ids, attention_mask, audio_values, audio_mask)
        if said is not None:
            references.append(self.project_references(said))
        if reference_masks is not None or reference_pixel_values is not None:
            references.append(
                self.project_references(
                    self._encode_examples(reference_pixel_values, reference_pixel_mask, reference_masks)
                )
            )
        features = self.encode_image(pixel_values, pixel_mask)
        if input_points is not None or input_labels is not None or input_boxes is not None:
            pointed = self.encode_points(features, input_points, input_labels, input_boxes, image_indices)
            references.append(self.project_references(pointed))
        _check_counts(pixel_values.shape[0], references, image_indices)
        recording: AbstractContextManager[list[Tensor]] = nullcontext([])
        if output_attentions and references:
            recording = record_fusion_attention(self.fusion)
        with recording as attentions:
            fused = self.fuse(features, references, image_indices)
        output = self.decode(
            features, fused, references, image_indices, labels, num_masks, full_resolution_masks, output_hidden_states
        )
        padded = torch.tensor(features.pixel_values.shape[-2:], device=features.pixel_values.device)
        output["padded_sizes"] = padded.expand(fused[0].shape[0], -1)
        if output_hidden_states:
            output["fused_features"] = tuple(fused)
        if output_attentions:
            output["fusion_attentions"] = by_reference(attentions, len(references))
        return output if return_dict else output.to_tuple()

    def _encode_examples(
        self, pixel_values: Tensor | None, pixel_mask: Tensor | None, masks: Tensor | None
    ) -> References:
        if pixel_values is None or masks is None:
            raise UsageError("reference_pixel_values and reference_masks must be given together.")
        if pixel_values.dim() != 5 or masks.dim() != 4 or pixel_values.shape[:2] != masks.shape[:2]:
            raise UsageError(
                "reference_pixel_values must have shape (N, K, 3, H, W) and reference_masks (N, K, H, W), "
                f"got {tuple(pixel_values.shape)} and {tuple(masks.shape)}."
            )
        features = self.encode_image(
            pixel_values.flatten(0, 1), None if pixel_mask is None else pixel_mask.flatten(0, 1)
        )
        if masks.shape[-2:] != pixel_values.shape[-2:]:
            raise UsageError(
                f"reference_masks must have the padded size {tuple(pixel_values.shape[-2:])} of their images, got "
                f"{tuple(masks.shape[-2:])}."
            )
        # A family with inputs of one size has padded the images.
        masks = pad_to(masks.flatten(0, 1), features.pixel_values.shape[-2:])
        return merge_shots(self.encode_mask_references(features, masks), pixel_values.shape[1])


def _check_counts(images: int, references: list[ProjectedReferences], image_indices: Tensor | None) -> None:
    counts = [reference.levels[0].condition.shape[0] for reference in references]
    expected = images if image_indices is None else image_indices.shape[0]
    if any(count != expected for count in counts):
        raise UsageError(
            f"Every entry needs its references: got {counts} references for {expected} entries "
            f"({images} images, image_indices {'absent' if image_indices is None else tuple(image_indices.shape)})."
        )


__all__ = ["ReferencePreTrainedModel", "ReferenceSegmentationMixin"]
