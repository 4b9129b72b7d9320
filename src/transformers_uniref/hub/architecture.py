"""A model's architecture in words, from its configuration."""

from __future__ import annotations

from typing import Any


def describe_architecture(config: Any) -> list[tuple[str, str]]:
    """(part, description) of a `UniRefConfig` or a `UniRefSamConfig`, in the order in which a picture passes them."""
    sam = config.model_type == "uniref_sam"
    rows = [("model type", f"`{config.model_type}`")]
    if sam:
        vision = config.vision_config
        side = vision.image_size
        layers = f"{vision.num_hidden_layers} layers of {vision.hidden_size}"
        rows.append(("image encoder", f"SAM ViT, {layers}, {side} x {side} pixels"))
    else:
        rows.append(("backbone", _backbone(config.backbone_config)))
    if config.use_language_references:
        text = config.text_config
        layers = f"{text.num_hidden_layers} layers of {text.hidden_size}"
        rows.append(("text encoder", f"{text.model_type}, {layers}, sentences of at most {config.text_length} tokens"))
    if config.use_mask_references:
        depths, widths = config.value_encoder_depths, config.value_encoder_widths
        rows.append(("encoder of annotated frames", f"residual stages of {_list(depths)} blocks, {_list(widths)} wide"))
    levels = len(config.feature_strides)
    if config.use_language_references or config.use_mask_references:
        where = f"{levels} level{'s' if levels > 1 else ''} of {config.d_model} channels"
        rows.append(("UniFusion", f"{config.fusion_heads} heads of {config.fusion_head_dim}, on {where}"))
    if sam:
        rows.append(("decoder", "SAM's mask decoder, prompted by the reference's condition vector"))
    else:
        layers = f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers"
        rows.append(("deformable transformer", f"{layers}, {config.num_queries} queries"))
    return rows


def _backbone(config: Any) -> str:
    if config.model_type == "uniref_twin_backbone":
        return f"{_backbone(config.first)}; beside it {_backbone(config.second)}"
    if config.model_type == "efficientnet_lite":
        return f"{config.model_type}, width {config.width:g}, depth {config.depth:g}"
    widths = getattr(config, "hidden_sizes", None)
    if widths is None:  # Swin doubles its width from stage to stage
        widths = [config.embed_dim * 2**stage for stage in range(len(config.depths))]
    return f"{config.model_type}, stages of {_list(config.depths)} blocks, {_list(widths)} wide"


def _list(numbers: Any) -> str:
    return ", ".join(str(number) for number in numbers)
