"""Where the tensors of an original UniRef-SAM checkpoint go that belong to Segment Anything: a table of patterns.

What a UniRef-SAM shares with the other family (text encoder, value encoder, fusion) has the same names there, after a
leading `model.`; `key_mapping` knows it.
"""

from __future__ import annotations

PREFIX = "model."
SAM = "sam."

_NORMED = r"(weight|bias)"

_IMAGE_ENCODER = [
    (r"pos_embed", "pos_embed"),
    (rf"patch_embed\.proj\.{_NORMED}", r"patch_embed.projection.\1"),
    (rf"blocks\.(\d+)\.norm([12])\.{_NORMED}", r"layers.\1.layer_norm\2.\3"),
    (r"blocks\.(\d+)\.attn\.(rel_pos_[hw]|(?:qkv|proj)\.(?:weight|bias))", r"layers.\1.attn.\2"),
    (rf"blocks\.(\d+)\.mlp\.(lin[12])\.{_NORMED}", r"layers.\1.mlp.\2.\3"),
    (r"neck\.0\.weight", "neck.conv1.weight"),
    (rf"neck\.1\.{_NORMED}", r"neck.layer_norm1.\1"),
    (r"neck\.2\.weight", "neck.conv2.weight"),
    (rf"neck\.3\.{_NORMED}", r"neck.layer_norm2.\1"),
]

_PROMPT_ENCODER = [
    (r"pe_layer\.positional_encoding_gaussian_matrix", "shared_embedding.positional_embedding"),
    (r"point_embeddings\.(\d+)\.weight", r"point_embed.\1.weight"),
    (r"(not_a_point_embed|no_mask_embed)\.weight", r"\1.weight"),
    (rf"mask_downscaling\.0\.{_NORMED}", r"mask_embed.conv1.\1"),
    (rf"mask_downscaling\.1\.{_NORMED}", r"mask_embed.layer_norm1.\1"),
    (rf"mask_downscaling\.3\.{_NORMED}", r"mask_embed.conv2.\1"),
    (rf"mask_downscaling\.4\.{_NORMED}", r"mask_embed.layer_norm2.\1"),
    (rf"mask_downscaling\.6\.{_NORMED}", r"mask_embed.conv3.\1"),
]

_ATTENTION = rf"(self_attn|cross_attn_token_to_image|cross_attn_image_to_token)\.(q|k|v|out)_proj\.{_NORMED}"
_MASK_DECODER = [
    (r"(iou_token|mask_tokens)\.weight", r"\1.weight"),
    (r"transformer\.layers\.(\d+)\." + _ATTENTION, r"transformer.layers.\1.\2.\3_proj.\4"),
    (rf"transformer\.layers\.(\d+)\.norm([1-4])\.{_NORMED}", r"transformer.layers.\1.layer_norm\2.\3"),
    (rf"transformer\.layers\.(\d+)\.mlp\.(lin[12])\.{_NORMED}", r"transformer.layers.\1.mlp.\2.\3"),
    (
        rf"transformer\.final_attn_token_to_image\.(q|k|v|out)_proj\.{_NORMED}",
        r"transformer.final_attn_token_to_image.\1_proj.\2",
    ),
    (rf"transformer\.norm_final_attn\.{_NORMED}", r"transformer.layer_norm_final_attn.\1"),
    (rf"output_upscaling\.0\.{_NORMED}", r"upscale_conv1.\1"),
    (rf"output_upscaling\.1\.{_NORMED}", r"upscale_layer_norm.\1"),
    (rf"output_upscaling\.3\.{_NORMED}", r"upscale_conv2.\1"),
]

# A perceptron of three layers there is called in, hidden, out here. Both kinds of heads have that depth in every SAM.
_PERCEPTRONS = r"(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.layers\."
_MASK_DECODER += [
    (_PERCEPTRONS + rf"0\.{_NORMED}", r"\1.proj_in.\2"),
    (_PERCEPTRONS + rf"1\.{_NORMED}", r"\1.layers.0.\2"),
    (_PERCEPTRONS + rf"2\.{_NORMED}", r"\1.proj_out.\2"),
]

RULES = [
    *((rf"sam\.image_encoder\.{pattern}", f"visual_encoder.backbone.{target}") for pattern, target in _IMAGE_ENCODER),
    *((rf"sam\.prompt_encoder\.{pattern}", f"prompt_encoder.{target}") for pattern, target in _PROMPT_ENCODER),
    *((rf"sam\.mask_decoder\.{pattern}", f"mask_decoder.{target}") for pattern, target in _MASK_DECODER),
]
"""Pattern of an original name without its `model.`, and the name of the parameter."""
