"""The configuration of UniRef++: every size that the weights depend on, and the weights of the losses."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig

_NORMS = ("frozen", "batch", "group")


@strict
class UniRefConfig(PreTrainedConfig):
    r"""Configuration of [`UniRefModel`]. The defaults are the released ResNet-50 model.

    Args:
        backbone_config: any Transformers backbone with four stages at strides 4, 8, 16 and 32. Default: ResNet-50.
        text_config: any Transformers text encoder. Default: BERT-base; ignored when `use_language_references` is off.
        use_language_references: whether the model has a text encoder.
        use_mask_references: whether the model has a value encoder for annotated frames. A model without either
            kind of reference has no fusion module (the released detection stage).
        d_model: channels of every level, token and query (C in the paper).
        backbone_norm: `"frozen"` turns the backbone's batch norms into constants (released), `"batch"` leaves them
            trainable, `"group"` replaces them by group norm (training from scratch with small batches).
        value_encoder_norm: `"batch"` (released) or `"group"`.
        value_encoder_widths: channels of the value encoder's four stages (ResNet-18).
        value_encoder_depths: blocks of the four stages.
        fusion_heads: attention heads of UniFusion.
        fusion_head_dim: channels of each of them.
        fusion_dropout: dropout of the fusion attention.
        fusion_bf16: compute the fusion attention in bfloat16 whatever the rest runs in, as the released kernel does.
        language_query_positions: add sine positions to the queries of the *language* fusion, so that place words can
            be resolved there. Off in the released model.
        text_length: number of tokens a sentence is padded and cut to.
        text_dropout: dropout after the projection of the text features.
        encoder_layers: layers of the deformable encoder.
        decoder_layers: layers of the deformable decoder.
        attention_heads: heads of the deformable transformer.
        num_points: sampling points of a head on a level.
        ffn_dim: inner width of the feed-forward layers.
        num_queries: two-stage proposals that become decoder queries.
        mask_channels: channels of the mask features (8 in the released code).
        full_resolution_masks: masks and mask losses of every task at the input's size, by aligned bilinear upsampling,
            unless a call says otherwise. The released model has them at a quarter of it but for videos' mask prompts.
            For pictures of a hundred pixels a quarter is too coarse: an object of radius 12 loses a fifth of its IoU.
        matching: `"ota"` (released: several queries a target) or `"hungarian"` (one).
        mask_loss_type: `"focal"` (released) or `"bce"` (the paper's text).
        loss_normalizer: `"local"` divides by the matches of this process (released), `"mean"` by the mean of all
            processes.
        class_loss_weight: weight of the focal classification loss.
        box_loss_weight: weight of the L1 loss.
        giou_loss_weight: weight of the GIoU loss.
        mask_loss_weight: weight of the pixel loss.
        dice_loss_weight: weight of the dice loss.
        auxiliary_mask_losses: adds the two losses of the released video stage, weighted by the next two values.
        mask_cls_loss_weight: weight of the cross entropy of the hardest pixels.
        mask_iou_loss_weight: weight of the soft IoU loss.
        boxinst_loss: replaces the mask losses by BoxInst's (released detection pre-training, boxes only).
    """

    model_type = "uniref"
    sub_configs = {"backbone_config": AutoConfig, "text_config": AutoConfig}
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "attention_heads",
        "num_hidden_layers": "encoder_layers",
    }

    # Dictionaries or configurations when given, configurations afterwards.
    backbone_config: Any = None
    text_config: Any = None
    use_language_references: bool = True
    use_mask_references: bool = True
    d_model: int = 256
    backbone_norm: str = "frozen"
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
    encoder_layers: int = 6
    decoder_layers: int = 6
    attention_heads: int = 8
    num_points: int = 4
    ffn_dim: int = 2048
    num_queries: int = 300
    mask_channels: int = 8
    full_resolution_masks: bool = False
    matching: str = "ota"
    mask_loss_type: str = "focal"
    loss_normalizer: str = "local"
    class_loss_weight: float | int = 2.0
    box_loss_weight: float | int = 5.0
    giou_loss_weight: float | int = 2.0
    mask_loss_weight: float | int = 2.0
    dice_loss_weight: float | int = 5.0
    auxiliary_mask_losses: bool = False
    mask_cls_loss_weight: float | int = 1.0
    mask_iou_loss_weight: float | int = 1.0
    boxinst_loss: bool = False
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.backbone_config = _sub_config(self.backbone_config, "resnet")
        self.backbone_config.out_features = _four_stages(self.backbone_config)
        self.text_config = _sub_config(self.text_config, "bert") if self.use_language_references else None
        self.value_encoder_widths = list(self.value_encoder_widths)
        self.value_encoder_depths = list(self.value_encoder_depths)
        # One class, the referred object, unless the caller says otherwise.
        if kwargs.get("num_labels") is None and self.id2label is None:
            self.id2label = {0: "object"}
            self.label2id = {"object": 0}
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        """Refuse sizes that do not fit each other."""
        for name, allowed in (
            ("backbone_norm", _NORMS),
            ("value_encoder_norm", ("batch", "group")),
            ("matching", ("ota", "hungarian")),
            ("mask_loss_type", ("focal", "bce")),
            ("loss_normalizer", ("local", "mean")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}.")
        if self.d_model % (4 * self.attention_heads) or self.d_model % 32:
            raise ValueError(
                f"d_model must be a multiple of 32 and of 4 * attention_heads; got d_model={self.d_model}, "
                f"attention_heads={self.attention_heads}."
            )
        if len(self.value_encoder_widths) != 4 or len(self.value_encoder_depths) != 4:
            raise ValueError(
                "value_encoder_widths and value_encoder_depths must hold four numbers each; "
                f"got {self.value_encoder_widths} and {self.value_encoder_depths}."
            )


def _sub_config(value: dict | PreTrainedConfig | None, default_type: str) -> Any:
    if isinstance(value, PreTrainedConfig):
        return value
    values = dict(value or {})
    return AutoConfig.for_model(values.pop("model_type", default_type), **values)


def _four_stages(backbone_config: Any) -> list[str]:
    stages = [name for name in backbone_config.stage_names if name != "stem"]
    if len(stages) != 4:
        raise ValueError(f"backbone_config must describe a backbone with four stages; got {stages}.")
    return stages


__all__ = ["UniRefConfig"]
