"""The configuration of UniRef-SAM: Segment Anything's parts and sizes, with UniRef++'s references and fusion."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig, SamPromptEncoderConfig, SamVisionConfig

from ..core.errors import UsageError
from .configuration_references import ReferenceFusionConfig, sub_config


@strict
class UniRefSamConfig(ReferenceFusionConfig):
    r"""Configuration of [`UniRefSamModel`]. The defaults are SAM ViT-B with BERT-base.

    The options of `ReferenceFusionConfig` come first: d_model is the width of SAM's image embedding, and the value
    encoder has the stages down to its stride.

    Args:
        vision_config: `SamVisionConfig`, its image encoder: ViT-B, L, H or any other size. Default: ViT-B.
        prompt_encoder_config: `SamPromptEncoderConfig`. Default: what fits the image encoder.
        mask_decoder_config: `SamMaskDecoderConfig`. Default: what fits the image encoder.
        mask_loss_weight: weight of the binary cross entropy.
        dice_loss_weight: weight of the dice loss.
        reproduce_released_bugs: compute what the released code does where that is a mistake, for its numbers to come
            out. Two things: the padding of an annotated frame counts as image (it is attended, and is part of the mean
            that prompts the decoder), and the masks of videos are gated, merged and compared with 0.5 as logits,
            without the sigmoid. Off: padding is left out, videos have probabilities.
    """

    model_type = "uniref_sam"
    sub_configs = {
        "vision_config": SamVisionConfig,
        "prompt_encoder_config": SamPromptEncoderConfig,
        "mask_decoder_config": SamMaskDecoderConfig,
        "text_config": AutoConfig,
        "audio_config": AutoConfig,
    }
    attribute_map = {"hidden_size": "d_model"}

    # Dictionaries or configurations when given, configurations afterwards.
    vision_config: Any = None
    prompt_encoder_config: Any = None
    mask_decoder_config: Any = None
    value_encoder_widths: list[int] | tuple[int, ...] = (64, 128, 256)
    value_encoder_depths: list[int] | tuple[int, ...] = (2, 2, 2)
    mask_loss_weight: float | int = 2.0
    dice_loss_weight: float | int = 0.5
    reproduce_released_bugs: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.vision_config = sub_config(self.vision_config, "sam_vision_model")
        vision = self.vision_config
        if self.prompt_encoder_config is None:
            self.prompt_encoder_config = {
                "hidden_size": vision.output_channels,
                "image_size": vision.image_size,
                "patch_size": vision.patch_size,
            }
        if self.mask_decoder_config is None:
            self.mask_decoder_config = {"hidden_size": vision.output_channels}
        self.prompt_encoder_config = _of_class(self.prompt_encoder_config, SamPromptEncoderConfig)
        self.mask_decoder_config = _of_class(self.mask_decoder_config, SamMaskDecoderConfig)
        super().__post_init__(**kwargs)

    @property
    def feature_strides(self) -> tuple[int, ...]:
        """That of the one map: SAM's patch size."""
        return (self.vision_config.patch_size,)

    @property
    def image_size(self) -> int:
        """Height and width of the padded input."""
        return self.vision_config.image_size

    def validate_architecture(self) -> None:
        """Refuse sizes that do not fit each other."""
        vision, prompt, decoder = self.vision_config, self.prompt_encoder_config, self.mask_decoder_config
        if vision.model_type != "sam_vision_model":
            raise UsageError(f"vision_config must be a SamVisionConfig; got one of type {vision.model_type!r}.")
        self.require_choices(value_encoder_norm=("batch", "group"))
        if not (self.use_language_references or self.use_mask_references or self.use_audio_references):
            raise UsageError(
                "use_language_references, use_mask_references and use_audio_references are off: nothing prompts the "
                "decoder."
            )
        widths = {
            "vision_config.output_channels": vision.output_channels,
            "2 * vision_config.num_pos_feats": 2 * vision.num_pos_feats,
            "prompt_encoder_config.hidden_size": prompt.hidden_size,
            "mask_decoder_config.hidden_size": decoder.hidden_size,
        }
        if unequal := {name: width for name, width in widths.items() if width != self.d_model}:
            raise UsageError(f"d_model is {self.d_model}, and so must be all widths of SAM's parts; got {unequal}.")
        if (prompt.image_size, prompt.patch_size) != (vision.image_size, vision.patch_size):
            raise UsageError(
                "prompt_encoder_config must have the image_size and patch_size of vision_config, "
                f"{vision.image_size} and {vision.patch_size}; got {prompt.image_size} and {prompt.patch_size}."
            )
        stages = len(self.value_encoder_widths)
        if len(self.value_encoder_depths) != stages or stages == 0 or 2 ** (stages + 1) != vision.patch_size:
            raise UsageError(
                "value_encoder_widths and value_encoder_depths must have as many stages, of strides 4, 8, 16, ..., as "
                f"lead to vision_config.patch_size, {vision.patch_size}; got {self.value_encoder_widths} and "
                f"{self.value_encoder_depths}."
            )


def _of_class(value: Any, config_class: type) -> Any:
    if isinstance(value, config_class):
        return value
    values = dict(value)
    values.pop("model_type", None)
    return config_class(**values)


__all__ = ["UniRefSamConfig"]
