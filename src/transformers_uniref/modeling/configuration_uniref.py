"""The configuration of UniRef++: every size that the weights depend on, and the weights of the losses."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig

from ..core.errors import UsageError
from .configuration_references import ReferenceFusionConfig, sub_config


@strict
class UniRefConfig(ReferenceFusionConfig):
    r"""Configuration of [`UniRefModel`]. The defaults are the released ResNet-50 model.

    The options of `ReferenceFusionConfig` come first. A model with neither kind of reference has no fusion module, as
    in the released detection stage. `full_resolution_masks` also holds for the mask losses: at a quarter of the input's
    size, the released rule, an object of radius 12 in a picture of a hundred pixels loses a fifth of its IoU.

    Args:
        backbone_config: any Transformers backbone with four stages at strides 4, 8, 16 and 32. Default: ResNet-50.
        backbone_norm: `"frozen"` turns the backbone's batch norms into constants (released), `"batch"` leaves them
            trainable, `"group"` replaces them by group norm (training from scratch with small batches).
        encoder_layers: layers of the deformable encoder.
        decoder_layers: layers of the deformable decoder.
        attention_heads: heads of the deformable transformer.
        num_points: sampling points of a head on a level.
        ffn_dim: inner width of the feed-forward layers.
        num_queries: two-stage proposals that become decoder queries. An image needs at least as many positions on the
            levels 8x to 64x: 300 queries need about 128 x 128 pixels, with fewer the released code fails as well.
        mask_channels: channels of the mask features (8 in the released code).
        mask_pooled_scores: a query's score also sees what its mask covers (`MaskPooledScore`). Off in the released
            models; on, every call decodes the masks of all queries at a quarter of the input's size.
        mask_pooled_dropout: dropout inside.
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
        score_loss_weight: weight of the loss of `mask_pooled_scores`.
        boxinst_loss: replaces the mask losses by BoxInst's (released detection pre-training, boxes only).
    """

    model_type = "uniref"
    sub_configs = {"backbone_config": AutoConfig, "text_config": AutoConfig, "audio_config": AutoConfig}
    attribute_map = {
        "hidden_size": "d_model",
        "num_attention_heads": "attention_heads",
        "num_hidden_layers": "encoder_layers",
    }

    # A dictionary or a configuration when given, a configuration afterwards.
    backbone_config: Any = None
    backbone_norm: str = "frozen"
    encoder_layers: int = 6
    decoder_layers: int = 6
    attention_heads: int = 8
    num_points: int = 4
    ffn_dim: int = 2048
    num_queries: int = 300
    mask_channels: int = 8
    mask_pooled_scores: bool = False
    mask_pooled_dropout: float | int = 0.1
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
    score_loss_weight: float | int = 2.0
    boxinst_loss: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        self.backbone_config = sub_config(self.backbone_config, "resnet")
        stages = [name for name in self.backbone_config.stage_names if name != "stem"]
        if len(stages) != 4:
            raise UsageError(f"backbone_config must describe a backbone with four stages; got {stages}.")
        self.backbone_config.out_features = stages
        super().__post_init__(**kwargs)

    @property
    def feature_strides(self) -> tuple[int, ...]:
        """Those of the four levels."""
        return (8, 16, 32, 64)

    def validate_architecture(self) -> None:
        """Refuse sizes that do not fit each other."""
        self.require_choices(
            backbone_norm=("frozen", "batch", "group"),
            value_encoder_norm=("batch", "group"),
            matching=("ota", "hungarian"),
            mask_loss_type=("focal", "bce"),
            loss_normalizer=("local", "mean"),
        )
        if self.d_model % (4 * self.attention_heads) or self.d_model % 32:
            raise UsageError(
                f"d_model must be a multiple of 32 and of 4 * attention_heads; got d_model={self.d_model}, "
                f"attention_heads={self.attention_heads}."
            )
        if len(self.value_encoder_widths) != 4 or len(self.value_encoder_depths) != 4:
            raise UsageError(
                "value_encoder_widths and value_encoder_depths must hold four numbers each; "
                f"got {self.value_encoder_widths} and {self.value_encoder_depths}."
            )


__all__ = ["UniRefConfig"]
