"""What the configurations of all model families share: the references, and the fusion that injects them."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

from ..core.errors import UsageError
from ..core.sharing import SavedWhole


@strict
class ReferenceFusionConfig(SavedWhole, PreTrainedConfig):
    r"""The options of reference encoders and UniFusion. A family adds its visual encoder and its decoder.

    Args:
        text_config: any Transformers text encoder. Default: BERT-base; ignored when `use_language_references` is off.
        use_language_references: whether the model has a text encoder.
        use_mask_references: whether the model has a value encoder for annotated frames.
        use_point_references: whether the model has an encoder of clicks, boxes and scribbles. Off in the released
            models, for which masks are drawn from them.
        use_audio_references: whether the model has an audio encoder. Off in the released models.
        audio_config: any Transformers audio encoder. Default: `LogMelEncoder`; ignored without `use_audio_references`.
        audio_tokens: tokens that it makes of a sound.
        d_model: channels of every level and token (C in the paper).
        value_encoder_norm: `"batch"` (released) or `"group"`.
        value_encoder_widths: channels of the value encoder's stages (ResNet-18), the first of stride 4.
        value_encoder_depths: blocks of its stages.
        fusion_heads: attention heads of UniFusion.
        fusion_head_dim: channels of each of them.
        fusion_dropout: dropout of the fusion attention.
        fusion_bf16: compute the fusion attention in bfloat16 whatever the rest runs in, as the released kernel does.
        language_query_positions: add the visual encoder's positions to the queries of the *language* fusion, so that
            place words can be resolved there. Off in the released models.
        text_length: number of tokens a sentence is padded and cut to.
        text_dropout: dropout after the projection of the text features.
        full_resolution_masks: masks of every task at the input's size unless a call says otherwise.
    """

    # Dictionaries or configurations when given, configurations afterwards.
    text_config: Any = None
    use_language_references: bool = True
    use_mask_references: bool = True
    use_point_references: bool = False
    audio_config: Any = None
    use_audio_references: bool = False
    audio_tokens: int = 5
    d_model: int = 256
    value_encoder_norm: str = "batch"
    value_encoder_widths: list[int] | tuple[int, ...] = (64, 128, 256, 512)
    value_encoder_depths: list[int] | tuple[int, ...] = (2, 2, 2, 2)
    fusion_heads: int = 8
    fusion_head_dim: int = 256
    fusion_dropout: float | int = 0.1
    fusion_bf16: bool = False
    language_query_positions: bool = False
    text_length: int = 77
    text_dropout: float | int = 0.1
    full_resolution_masks: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.text_config = sub_config(self.text_config, "bert") if self.use_language_references else None
        self.audio_config = sub_config(self.audio_config, "uniref_log_mel") if self.use_audio_references else None
        self.value_encoder_widths = list(self.value_encoder_widths)
        self.value_encoder_depths = list(self.value_encoder_depths)
        # One class, the referred object, unless the caller says otherwise.
        if kwargs.get("num_labels") is None and self.id2label is None:
            self.id2label = {0: "object"}
            self.label2id = {"object": 0}
        # Where a repository's own code lies says nothing about the model, and does not hold for a copy that is saved.
        kwargs.pop("auto_map", None)
        super().__post_init__(**kwargs)

    @property
    def feature_strides(self) -> tuple[int, ...]:
        """Strides of the levels on which references act, finest first."""
        raise NotImplementedError

    def require_choices(self, **choices: tuple[str, ...]) -> None:
        """Raises ValueError when one of these options has none of its accepted values."""
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}.")


def sub_config(value: dict | PreTrainedConfig | None, default_type: str) -> Any:
    """A nested configuration out of its dictionary, of the default kind unless it names another."""
    if isinstance(value, PreTrainedConfig):
        return value
    values = dict(value or {})
    return AutoConfig.for_model(values.pop("model_type", default_type), **values)


__all__ = ["ReferenceFusionConfig"]
