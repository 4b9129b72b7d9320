"""Where every tensor of an original UniRef++ checkpoint goes.

A table of patterns and nothing else: `place` looks at one original name and says which parameter(s) of `UniRefModel` or
`UniRefSamModel` it becomes, or why it is not needed.  No tensor is touched here, so the same table serves real and meta
tensors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import sam_key_mapping


@dataclass(frozen=True)
class Move:
    """The tensor goes to `targets`; with several targets it is cut into equal parts along its first axis, in order."""

    targets: tuple[str, ...]


@dataclass(frozen=True)
class Duplicate:
    """The original lists one tensor under two names; this name repeats `original`."""

    original: str


@dataclass(frozen=True)
class Drop:
    """The tensor has no place in the model; `reason` says why that loses nothing."""

    reason: str


Placement = Move | Duplicate | Drop

_BACKBONE = r"detr\.detr\.backbone\.0\.backbone\."
_OUR_BACKBONE = "visual_encoder.backbone."
_NORM = r"(weight|bias|running_mean|running_var|num_batches_tracked)"

# detectron2's stages res2..res5 are the library's stages 0..3, and so are the three convolutions of a bottleneck.
_RESNET = [
    (r"stem\.conv1\.weight", "embedder.embedder.convolution.weight"),
    (rf"stem\.conv1\.norm\.{_NORM}", r"embedder.embedder.normalization.\1"),
    (r"res(\d)\.(\d+)\.shortcut\.weight", r"encoder.stages.{1-2}.layers.\2.shortcut.convolution.weight"),
    (rf"res(\d)\.(\d+)\.shortcut\.norm\.{_NORM}", r"encoder.stages.{1-2}.layers.\2.shortcut.normalization.\3"),
    (r"res(\d)\.(\d+)\.conv(\d)\.weight", r"encoder.stages.{1-2}.layers.\2.layer.{3-1}.convolution.weight"),
    (rf"res(\d)\.(\d+)\.conv(\d)\.norm\.{_NORM}", r"encoder.stages.{1-2}.layers.\2.layer.{3-1}.normalization.\4"),
]

_SWIN_BLOCK = r"layers\.(\d+)\.blocks\.(\d+)\."
_OUR_SWIN_BLOCK = r"swin.encoder.layers.\1.blocks.\2."
_SWIN = [
    (r"patch_embed\.proj\.(weight|bias)", r"swin.embeddings.patch_embeddings.projection.\1"),
    (r"patch_embed\.norm\.(weight|bias)", r"swin.embeddings.norm.\1"),
    (_SWIN_BLOCK + r"norm1\.(weight|bias)", _OUR_SWIN_BLOCK + r"layernorm_before.\3"),
    (_SWIN_BLOCK + r"norm2\.(weight|bias)", _OUR_SWIN_BLOCK + r"layernorm_after.\3"),
    (
        _SWIN_BLOCK + r"attn\.relative_position_bias_table",
        _OUR_SWIN_BLOCK + "attention.relative_position_bias.relative_position_bias_table",
    ),
    (
        _SWIN_BLOCK + r"attn\.qkv\.(weight|bias)",
        tuple(_OUR_SWIN_BLOCK + rf"attention.{part}_proj.\3" for part in "qkv"),
    ),
    (_SWIN_BLOCK + r"attn\.proj\.(weight|bias)", _OUR_SWIN_BLOCK + r"attention.o_proj.\3"),
    (_SWIN_BLOCK + r"mlp\.(fc[12])\.(weight|bias)", _OUR_SWIN_BLOCK + r"mlp.\3.\4"),
    (r"layers\.(\d+)\.downsample\.(norm|reduction)\.(weight|bias)", r"swin.encoder.layers.\1.downsample.\2.\3"),
    (r"norm(\d)\.(weight|bias)", r"hidden_states_norms.stage{1+1}.\2"),
]

_VALUE = [
    (r"conv1\.(weight|bias)", r"stem.conv.\1"),
    (rf"bn1\.{_NORM}", r"stem.norm.\1"),
    (r"layer(\d)\.(\d+)\.conv([12])\.(weight|bias)", r"stages.{1-1}.\2.conv\3.\4"),
    (rf"layer(\d)\.(\d+)\.bn([12])\.{_NORM}", r"stages.{1-1}.\2.norm\3.\4"),
    (r"layer(\d)\.(\d+)\.downsample\.0\.(weight|bias)", r"stages.{1-1}.\2.shortcut.conv.\3"),
    (rf"layer(\d)\.(\d+)\.downsample\.1\.{_NORM}", r"stages.{1-1}.\2.shortcut.norm.\3"),
    (r"final_layer\.0\.(weight|bias)", r"extra_level.conv.\1"),
    (r"final_layer\.1\.(weight|bias)", r"extra_level.norm.\1"),
]
_FUSER = [
    (r"(block[12])\.downsample\.(weight|bias)", r"\1.shortcut.\2"),
    (r"(block[12])\.(conv[12])\.(weight|bias)", r"\1.\2.\3"),
    (r"attention\.ChannelGate\.mlp\.1\.(weight|bias)", r"attention.channel_gate.reduce.\1"),
    (r"attention\.ChannelGate\.mlp\.3\.(weight|bias)", r"attention.channel_gate.expand.\1"),
    (r"attention\.SpatialGate\.spatial\.conv\.(weight|bias)", r"attention.spatial_gate.\1"),
]

_DEFORMABLE = r"(sampling_offsets|attention_weights|value_proj|output_proj)\.(weight|bias)"
_ENCODER_LAYER = r"encoder\.layers\.(\d+)\."
_DECODER_LAYER = r"decoder\.layers\.(\d+)\."
_TRANSFORMER = [
    (r"level_embed", "level_embed.weight"),
    (_ENCODER_LAYER + r"self_attn\." + _DEFORMABLE, r"encoder.layers.\1.self_attn.\2.\3"),
    (_ENCODER_LAYER + r"norm1\.(weight|bias)", r"encoder.layers.\1.self_attn_norm.\2"),
    (_ENCODER_LAYER + r"norm2\.(weight|bias)", r"encoder.layers.\1.ffn_norm.\2"),
    (_ENCODER_LAYER + r"(linear[12])\.(weight|bias)", r"encoder.layers.\1.\2.\3"),
    (_DECODER_LAYER + r"cross_attn\." + _DEFORMABLE, r"decoder.layers.\1.cross_attn.\2.\3"),
    (_DECODER_LAYER + r"norm1\.(weight|bias)", r"decoder.layers.\1.cross_attn_norm.\2"),
    (
        _DECODER_LAYER + r"self_attn\.in_proj_(weight|bias)",
        tuple(rf"decoder.layers.\1.self_attn.{part}_proj.\2" for part in "qkv"),
    ),
    (_DECODER_LAYER + r"self_attn\.out_proj\.(weight|bias)", r"decoder.layers.\1.self_attn.out_proj.\2"),
    (_DECODER_LAYER + r"norm2\.(weight|bias)", r"decoder.layers.\1.self_attn_norm.\2"),
    (_DECODER_LAYER + r"norm3\.(weight|bias)", r"decoder.layers.\1.ffn_norm.\2"),
    (_DECODER_LAYER + r"(linear[12])\.(weight|bias)", r"decoder.layers.\1.\2.\3"),
    (r"enc_output\.(weight|bias)", r"proposal_proj.\1"),
    (r"enc_output_norm\.(weight|bias)", r"proposal_norm.\1"),
    (r"pos_trans\.(weight|bias)", r"position_proj.\1"),
    (r"pos_trans_norm\.(weight|bias)", r"position_norm.\1"),
]

_HEADS = [
    (r"detr\.detr\.query_embed\.weight", "transformer.query_embed.weight"),
    (r"detr\.detr\.class_embed\.(\d+)\.(weight|bias)", r"class_heads.\1.\2"),
    (r"detr\.detr\.bbox_embed\.(\d+)\.layers\.(\d+)\.(weight|bias)", r"box_heads.\1.layers.\2.\3"),
    (r"detr\.detr\.input_proj\.(\d+)\.0\.(weight|bias)", r"visual_encoder.projections.\1.conv.\2"),
    (r"detr\.detr\.input_proj\.(\d+)\.1\.(weight|bias)", r"visual_encoder.projections.\1.norm.\2"),
    (r"detr\.(lateral_conv|output_conv|mask_conv)\.(weight|bias)", r"mask_head.\1.\2"),
    (r"detr\.mask_head\.lay3\.(weight|bias)", r"mask_head.conv32.\1"),
    (r"detr\.mask_head\.lay4\.(weight|bias)", r"mask_head.conv16.\1"),
    (r"detr\.mask_head\.jia_dcn\.(weight|bias)", r"mask_head.conv8.\1"),
    (r"detr\.mask_head\.lay([12])\.(weight|bias)", r"mask_head.reduce\1.\2"),
    (r"detr\.controller\.layers\.(\d+)\.(weight|bias)", r"mask_head.controller.layers.\1.\2"),
    (r"criterion\._iter", "criterion.boxinst_iteration"),
]

_REFERENCES = [
    (r"resizer\.fc\.(weight|bias)", r"language_encoder.projection.\1"),
    (r"resizer\.layer_norm\.(weight|bias)", r"language_encoder.layer_norm.\1"),
    (r"text_encoder\.((?:embeddings|encoder)\..+)", r"language_encoder.text_encoder.\1"),
]
_FUSION = [
    (r"norm_v\.(weight|bias)", r"query_norm.\1"),
    (r"norm_l\.(weight|bias)", r"key_norm.\1"),
    (r"attn\.(q|k|v|out)_proj\.(weight|bias)", r"\1_proj.\2"),
    (r"adaLN_modulation\.1\.(weight|bias)", r"modulation.\1"),
]

_DROPS = [
    (r"text_encoder\.pooler\..*", "the text encoder's pooler is never used"),
    (r"text_encoder\.embeddings\.(position_ids|token_type_ids)", "index table, rebuilt by the text encoder"),
    (_BACKBONE + r".*\.relative_position_index", "index table, rebuilt by the backbone"),
    (_BACKBONE + r".*\.attn_mask", "attention mask of one image size, computed per image"),
]

_DUPLICATE = re.compile(r"(detr\.detr\.)transformer\.decoder\.((?:class|bbox)_embed\..+)")


def _compile(prefix: str, target_prefix: str, rules: list) -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    table = []
    for pattern, targets in rules:
        targets = (targets,) if isinstance(targets, str) else targets
        table.append((re.compile(prefix + pattern), tuple(target_prefix + target for target in targets)))
    return table


_MOVES = [
    *_compile("", "", _HEADS),
    *_compile(r"detr\.detr\.transformer\.", "transformer.", _TRANSFORMER),
    *_compile(_BACKBONE, _OUR_BACKBONE, _RESNET),
    *_compile(_BACKBONE, _OUR_BACKBONE, _SWIN),
    *_compile("", "", _REFERENCES),
    *_compile(r"value_encoder\.", "mask_encoder.", _VALUE),
    *(
        rule
        for level in range(4)
        for rule in _compile(rf"value_encoder\.fuser{level + 2}\.", f"mask_encoder.fusers.{level}.", _FUSER)
    ),
    *_compile(r"detr\.fusion_module\.", "fusion.", _FUSION),
]
_SAM_MOVES = [
    *_compile("", "", sam_key_mapping.RULES),
    *_compile("", "", _REFERENCES),
    *_compile(r"value_encoder\.", "mask_encoder.", _VALUE),
    *_compile(r"value_encoder\.fuser\.", "mask_encoder.fusers.0.", _FUSER),
    *_compile(r"fusion_module\.", "fusion.", _FUSION),
]
_COMPILED_DROPS = [(re.compile(pattern), reason) for pattern, reason in _DROPS]
_SHIFTED_GROUP = re.compile(r"\{(\d)([+-]\d)\}")


def _expand(match: re.Match[str], template: str) -> str:
    """`Match.expand`, where `{g+k}` stands for the number in group `g` plus `k`."""
    shifted = _SHIFTED_GROUP.sub(lambda m: str(int(match.group(int(m[1]))) + int(m[2])), template)
    return match.expand(shifted)


def place(name: str) -> Placement | None:
    """Say where the original tensor `name` goes; None when UniRef++ has no tensor of that name.

    All names of the SAM variant begin with `model.`, none of the others.
    """
    moves = _MOVES
    if name.startswith(sam_key_mapping.PREFIX):
        name, moves = name.removeprefix(sam_key_mapping.PREFIX), _SAM_MOVES
    for pattern, reason in _COMPILED_DROPS:
        if pattern.fullmatch(name):
            return Drop(reason)
    if match := _DUPLICATE.fullmatch(name):
        return Duplicate(match[1] + match[2])
    for pattern, templates in moves:
        if match := pattern.fullmatch(name):
            return Move(tuple(_expand(match, template) for template in templates))
    return None
