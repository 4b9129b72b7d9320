"""Which UniRef++ a checkpoint holds, read off the names and shapes of its tensors."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.errors import UsageError

Shapes = Mapping[str, tuple[int, ...]]

_BACKBONE = "detr.detr.backbone.0.backbone."
_TRANSFORMER = "detr.detr.transformer."

# What every UniRef++ checkpoint of the R50/Swin family has, whatever its stage.
ANCHORS = (
    _TRANSFORMER + "level_embed",
    "detr.detr.query_embed.weight",
    "detr.detr.class_embed.0.weight",
    "detr.detr.input_proj.0.0.weight",
    "detr.lateral_conv.weight",
    "detr.controller.layers.0.weight",
)
FEATURE_LEVELS = 4
RELEASED_ATTENTION_HEADS = 8  # of the transformer and of the fusion; no tensor tells them
TEXT_HEAD_WIDTH = 64  # of every published BERT and RoBERTa


class CheckpointError(UsageError):
    """The file, or what was asked of it, cannot become a UniRef model; the message says why in one line."""


def count_parts(shapes: Shapes, prefix: str) -> int:
    """How many numbered parts follow `prefix`: 0, 1, 2, ... without a gap."""
    found = {name[len(prefix) :].split(".", 1)[0] for name in shapes if name.startswith(prefix)}
    indices = sorted(int(index) for index in found if index.isdigit())
    if indices != list(range(len(indices))):
        raise CheckpointError(f"{prefix}* is numbered {indices}: some tensors of the checkpoint are missing")
    return len(indices)


def shape_of(shapes: Shapes, name: str) -> tuple[int, ...]:
    """The shape of a tensor that must be there."""
    if name not in shapes:
        raise CheckpointError(f"not a complete UniRef checkpoint: it has no {name}")
    return shapes[name]


def check_is_uniref(names: Iterable[str]) -> None:
    """Refuse checkpoints of something else than the ResNet and Swin family, naming what is missing.

    Raises:
        CheckpointError: when the tensors that every stage has are absent.
    """
    names = set(names)
    missing = [name for name in ANCHORS if name not in names]
    if missing:
        example = ", ".join(sorted(names)[:3])
        raise CheckpointError(
            f"not a UniRef checkpoint: it has no {', '.join(missing)} (its {len(names)} tensors begin with: {example})"
        )


def infer_backbone(shapes: Shapes) -> dict[str, Any]:
    """The `backbone_config` of a checkpoint: a detectron2 ResNet or a Swin, every size from the tensors."""
    if _BACKBONE + "stem.conv1.weight" in shapes:
        return _infer_resnet(shapes)
    if _BACKBONE + "patch_embed.proj.weight" in shapes:
        return _infer_swin(shapes)
    raise CheckpointError(
        f"unknown backbone: no {_BACKBONE}stem.conv1.weight (ResNet) or patch_embed.proj.weight (Swin)"
    )


def _infer_resnet(shapes: Shapes) -> dict[str, Any]:
    stages = [f"{_BACKBONE}res{stage}." for stage in range(2, 6)]
    bottleneck = f"{stages[0]}0.conv3.weight" in shapes
    last_conv = "conv3" if bottleneck else "conv2"
    return {
        "model_type": "resnet",
        "num_channels": shape_of(shapes, _BACKBONE + "stem.conv1.weight")[1],
        "embedding_size": shape_of(shapes, _BACKBONE + "stem.conv1.weight")[0],
        "hidden_sizes": [shape_of(shapes, f"{stage}0.{last_conv}.weight")[0] for stage in stages],
        "depths": [count_parts(shapes, stage) for stage in stages],
        "layer_type": "bottleneck" if bottleneck else "basic",
        "hidden_act": "relu",
        "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }


def _infer_swin(shapes: Shapes) -> dict[str, Any]:
    embed_dim, channels, patch, _ = shape_of(shapes, _BACKBONE + "patch_embed.proj.weight")
    stages = [f"{_BACKBONE}layers.{stage}.blocks." for stage in range(count_parts(shapes, _BACKBONE + "layers."))]
    tables = [shape_of(shapes, f"{stage}0.attn.relative_position_bias_table") for stage in stages]
    window = (round(tables[0][0] ** 0.5) + 1) // 2  # a table has (2 w - 1)^2 rows
    return {
        "model_type": "swin",
        # only fixes the size of an absolute position table, which none of the released models has
        "image_size": 384 if window == 12 else 224,
        "patch_size": patch,
        "num_channels": channels,
        "embed_dim": embed_dim,
        "depths": [count_parts(shapes, stage) for stage in stages],
        "num_heads": [table[1] for table in tables],
        "window_size": window,
        "mlp_ratio": shape_of(shapes, f"{stages[0]}0.mlp.fc1.weight")[0] / embed_dim,
        "qkv_bias": f"{stages[0]}0.attn.qkv.bias" in shapes,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-5,
        # the released training: 0.2 for tiny and small (96 channels), 0.3 for base and large
        "drop_path_rate": 0.2 if embed_dim <= 96 else 0.3,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    }


def infer_text_encoder(shapes: Shapes, overrides: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `text_config` of a checkpoint (BERT, or RoBERTa for the earlier UniRef), None without language.

    The number of attention heads is the width divided by 64; for a width where that is no whole number it has to be
    in `overrides` as `text_config.num_attention_heads`.
    """
    prefix = "text_encoder."
    if not any(name.startswith(prefix) for name in shapes):
        return None
    vocab, hidden = shape_of(shapes, prefix + "embeddings.word_embeddings.weight")
    positions = shape_of(shapes, prefix + "embeddings.position_embeddings.weight")[0]
    types = shape_of(shapes, prefix + "embeddings.token_type_embeddings.weight")[0]
    heads = overrides.get("text_config.num_attention_heads")
    if heads is None:
        if hidden % TEXT_HEAD_WIDTH:
            raise CheckpointError(
                f"the text encoder is {hidden} wide, so the number of its attention heads cannot be told from the "
                "checkpoint; give it as text_config.num_attention_heads in `overrides`"
            )
        heads = hidden // TEXT_HEAD_WIDTH
    config = {
        "model_type": "bert",
        "vocab_size": vocab,
        "hidden_size": hidden,
        "num_hidden_layers": count_parts(shapes, prefix + "encoder.layer."),
        "num_attention_heads": heads,
        "intermediate_size": shape_of(shapes, prefix + "encoder.layer.0.intermediate.dense.weight")[0],
        "max_position_embeddings": positions,
        "type_vocab_size": types,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    }
    if types == 1 or vocab == 50265:
        config |= {
            "model_type": "roberta",
            "layer_norm_eps": 1e-5,
            "pad_token_id": 1,
            "bos_token_id": 0,
            "eos_token_id": 2,
        }
    return config


def infer_fusion(shapes: Shapes, prefix: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The options of UniFusion, none for a checkpoint without it; how many heads no tensor tells."""
    if f"{prefix}attn.q_proj.weight" not in shapes:
        return {}
    inner = shape_of(shapes, f"{prefix}attn.q_proj.weight")[0]
    heads = int(overrides.get("fusion_heads", RELEASED_ATTENTION_HEADS))
    return {"fusion_heads": heads, "fusion_head_dim": inner // heads}


def infer_config(shapes: Shapes, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The keyword arguments of `UniRefConfig` for a checkpoint with these tensors.

    `overrides` supplies what no tensor tells (`attention_heads`, `fusion_heads`, `text_config.num_attention_heads`).

    Raises:
        CheckpointError: not a UniRef checkpoint, or one with tensors missing; the message names them.
    """
    overrides = overrides or {}
    check_is_uniref(shapes)
    levels, d_model = shape_of(shapes, _TRANSFORMER + "level_embed")
    if levels != FEATURE_LEVELS:
        raise CheckpointError(f"the checkpoint has {levels} feature levels, this model {FEATURE_LEVELS}")
    heads = int(overrides.get("attention_heads", RELEASED_ATTENTION_HEADS))
    weights = shape_of(shapes, _TRANSFORMER + "encoder.layers.0.self_attn.attention_weights.weight")[0]
    text = infer_text_encoder(shapes, overrides)
    value_stages = [f"value_encoder.layer{stage}." for stage in range(1, 5)]
    has_masks = "value_encoder.conv1.weight" in shapes
    classes = shape_of(shapes, "detr.detr.class_embed.0.weight")[0]
    config: dict[str, Any] = {
        "backbone_config": infer_backbone(shapes),
        "text_config": text,
        "use_language_references": text is not None,
        "use_mask_references": has_masks,
        "d_model": d_model,
        "num_queries": shape_of(shapes, "detr.detr.query_embed.weight")[0],
        "encoder_layers": count_parts(shapes, _TRANSFORMER + "encoder.layers."),
        "decoder_layers": count_parts(shapes, _TRANSFORMER + "decoder.layers."),
        "attention_heads": heads,
        "num_points": weights // (heads * levels),
        "ffn_dim": shape_of(shapes, _TRANSFORMER + "encoder.layers.0.linear1.weight")[0],
        "mask_channels": shape_of(shapes, "detr.lateral_conv.weight")[0],
        "backbone_norm": "frozen",
    }
    if classes > 1:  # one class is the default, with its name
        config["num_labels"] = classes
    if has_masks:
        config["value_encoder_widths"] = [shape_of(shapes, f"{stage}0.conv1.weight")[0] for stage in value_stages]
        config["value_encoder_depths"] = [count_parts(shapes, stage) for stage in value_stages]
    config |= infer_fusion(shapes, "detr.fusion_module.", overrides)
    # Only the detection stage has neither references nor fusion, and only it trains masks from boxes.
    config["boxinst_loss"] = text is None and not has_masks
    return config


def parse_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """`["text_config.num_attention_heads=4", "boxinst_loss=true"]` -> values parsed as JSON where they are JSON.

    Raises:
        CheckpointError: an assignment without `=` or without a name.
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        name = name.strip()
        if not separator or not name:
            raise CheckpointError(
                f"`overrides` {assignment!r}: expected NAME=VALUE, for example text_config.num_attention_heads=4"
            )
        try:
            overrides[name] = json.loads(text)
        except json.JSONDecodeError:
            overrides[name] = {"True": True, "False": False, "None": None}.get(text.strip(), text)
    return overrides


def apply_overrides(config: dict[str, Any], known: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the nested dict `config` with the dotted names of `overrides` set.

    `known` is the full nested configuration (every option with its default); a name that is not in it is refused.

    Raises:
        CheckpointError: an unknown name, with the nearest known ones.
    """
    result = json.loads(json.dumps(config))
    for name, value in overrides.items():
        target, level, path = result, known, ""
        *parents, last = name.split(".")
        for part in [*parents, last]:
            if not isinstance(level, Mapping):
                raise CheckpointError(f"`overrides` {name}: {path[:-1]} has no options in this checkpoint")
            if part not in level:
                near = difflib.get_close_matches(part, [str(key) for key in level], n=3) or sorted(map(str, level))[:8]
                hint = ", ".join(path + key for key in near)
                raise CheckpointError(f"`overrides` {name}: no such option; near it: {hint}")
            level, path = level[part], f"{path}{part}."
        for part in parents:
            target = target[part] if isinstance(target.get(part), dict) else target.setdefault(part, {})
        target[last] = value
    return result
