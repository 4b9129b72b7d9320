"""Which UniRef-SAM a checkpoint holds, read off the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .sam_key_mapping import PREFIX
from .variants import (
    RELEASED_ATTENTION_HEADS,
    CheckpointError,
    Shapes,
    count_parts,
    infer_fusion,
    infer_text_encoder,
    shape_of,
)

_IMAGE_ENCODER = "sam.image_encoder."
_DECODER = "sam.mask_decoder."
# SAM's own code: the decoder's norms have PyTorch's default, all others 1e-6 as the library's.
_DECODER_NORM_EPS = 1e-5


def is_sam_variant(names: Iterable[str]) -> bool:
    """Whether these are the tensors of a UniRef-SAM."""
    return any(name.startswith(PREFIX + _IMAGE_ENCODER) for name in names)


def infer_sam_config(shapes: Shapes, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The keyword arguments of `UniRefSamConfig` for a checkpoint with these tensors.

    `overrides` supplies what no tensor tells (`mask_decoder_config.num_attention_heads`, `fusion_heads`,
    `text_config.num_attention_heads`).

    Raises:
        CheckpointError: a checkpoint with tensors missing; the message names them.
    """
    overrides = overrides or {}
    shapes = {name.removeprefix(PREFIX): shape for name, shape in shapes.items()}
    text = infer_text_encoder(shapes, overrides)
    stages = [f"value_encoder.layer{stage}." for stage in range(1, 5)]
    stages = [stage for stage in stages if f"{stage}0.conv1.weight" in shapes]
    vision = _infer_vision(shapes)
    config: dict[str, Any] = {
        "vision_config": vision,
        "prompt_encoder_config": _infer_prompt_encoder(shapes, vision),
        "mask_decoder_config": _infer_mask_decoder(shapes, overrides),
        "text_config": text,
        "use_language_references": text is not None,
        "use_mask_references": bool(stages),
        "d_model": vision["output_channels"],
    }
    if stages:
        config["value_encoder_widths"] = [shape_of(shapes, f"{stage}0.conv1.weight")[0] for stage in stages]
        config["value_encoder_depths"] = [count_parts(shapes, stage) for stage in stages]
    return config | infer_fusion(shapes, "fusion_module.", overrides)


def _infer_vision(shapes: Shapes) -> dict[str, Any]:
    width, channels, patch, _ = shape_of(shapes, _IMAGE_ENCODER + "patch_embed.proj.weight")
    blocks = [f"{_IMAGE_ENCODER}blocks.{index}." for index in range(count_parts(shapes, _IMAGE_ENCODER + "blocks."))]
    side = shape_of(shapes, _IMAGE_ENCODER + "pos_embed")[1]
    # A table of relative positions has 2 n - 1 rows for windows of n cells a side; the heads share its width.
    tables = [shape_of(shapes, f"{block}attn.rel_pos_h") for block in blocks]
    windows = [(rows + 1) // 2 for rows, _ in tables]
    smaller = sorted({window for window in windows if window != side})
    if len(smaller) > 1:
        raise CheckpointError(f"the image encoder has windows of {smaller} cells; SAM has one size")
    return {
        "model_type": "sam_vision_model",
        "hidden_size": width,
        "output_channels": shape_of(shapes, _IMAGE_ENCODER + "neck.0.weight")[0],
        "num_hidden_layers": len(blocks),
        "num_attention_heads": width // tables[0][1],
        "num_channels": channels,
        "image_size": side * patch,
        "patch_size": patch,
        "qkv_bias": f"{blocks[0]}attn.qkv.bias" in shapes,
        "mlp_dim": shape_of(shapes, f"{blocks[0]}mlp.lin1.weight")[0],
        "window_size": smaller[0] if smaller else 0,
        "global_attn_indexes": [index for index, window in enumerate(windows) if window == side],
        "num_pos_feats": shape_of(shapes, "sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix")[1],
    }


def _infer_prompt_encoder(shapes: Shapes, vision: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "hidden_size": shape_of(shapes, "sam.prompt_encoder.no_mask_embed.weight")[1],
        "image_size": vision["image_size"],
        "patch_size": vision["patch_size"],
        "mask_input_channels": shape_of(shapes, "sam.prompt_encoder.mask_downscaling.3.weight")[0],
        "num_point_embeddings": count_parts(shapes, "sam.prompt_encoder.point_embeddings."),
    }


def _infer_mask_decoder(shapes: Shapes, overrides: Mapping[str, Any]) -> dict[str, Any]:
    tokens, width = shape_of(shapes, _DECODER + "mask_tokens.weight")
    layer = _DECODER + "transformer.layers.0."
    narrow = shape_of(shapes, layer + "cross_attn_token_to_image.q_proj.weight")[0]
    return {
        "hidden_size": width,
        "mlp_dim": shape_of(shapes, layer + "mlp.lin1.weight")[0],
        "num_hidden_layers": count_parts(shapes, _DECODER + "transformer.layers."),
        "num_attention_heads": int(overrides.get("mask_decoder_config.num_attention_heads", RELEASED_ATTENTION_HEADS)),
        "attention_downsample_rate": width // narrow,
        "num_multimask_outputs": tokens - 1,
        "iou_head_depth": count_parts(shapes, _DECODER + "iou_prediction_head.layers."),
        "iou_head_hidden_dim": shape_of(shapes, _DECODER + "iou_prediction_head.layers.0.weight")[0],
        "layer_norm_eps": _DECODER_NORM_EPS,
    }
