"""A new model from the training configuration."""

from __future__ import annotations

from typing import Any

import torch
from transformers import BertConfig, ResNetConfig

from .config import TrainingConfig
from .initialisation import calm_controller_, identity_fusion_


def build_model_config(config: TrainingConfig, vocabulary_size: int) -> Any:
    """The `UniRefConfig` of a run: `config.model` with a ResNet and a BERT of the configured sizes."""
    from ..modeling.configuration_uniref import UniRefConfig

    reserved = sorted({"backbone_config", "text_config"} & set(config.model))
    if reserved:
        raise ValueError(f"model.{reserved[0]}: is built from the sections `backbone` and `text`; set those")
    backbone = ResNetConfig(
        embedding_size=config.backbone.embedding_size,
        hidden_sizes=list(config.backbone.hidden_sizes),
        depths=list(config.backbone.depths),
        layer_type=config.backbone.layer_type,
    )
    text = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=config.text.hidden_size,
        num_hidden_layers=config.text.layers,
        num_attention_heads=config.text.heads,
        intermediate_size=config.text.intermediate_size,
        hidden_dropout_prob=config.text.dropout,
        attention_probs_dropout_prob=config.text.dropout,
        max_position_embeddings=int(config.model.get("text_length", 77)),
        type_vocab_size=2,
        pad_token_id=0,
    )
    return UniRefConfig(backbone_config=backbone, text_config=text, **config.model)


def build_model(config: TrainingConfig, vocabulary_size: int) -> Any:
    """A randomly initialised `UniRefModel`: equal seeds give equal weights."""
    from ..modeling.modeling_uniref import UniRefModel

    torch.manual_seed(config.seed)
    model_config = build_model_config(config, vocabulary_size)
    model_config._attn_implementation = config.attention
    model = UniRefModel(model_config)
    if config.initialisation.fusion_identity:
        identity_fusion_(
            model.fusion, model_config.fusion_heads, config.initialisation.noise, config.initialisation.gate
        )
    calm_controller_(model.mask_head.controller, config.initialisation.controller_scale)
    if config.initial_weights:
        start_from_(model, config.initial_weights)
    return model


def start_from_(model: Any, folder: str) -> None:
    """Copy the weights of the model in `folder` into `model`.

    Raises:
        OSError: there is no such model.
        ValueError: it has other weights; the first that differ are named.
    """
    from ..modeling.modeling_uniref import UniRefModel

    given, wanted = UniRefModel.from_pretrained(folder).state_dict(), model.state_dict()
    different = sorted(
        name for name in given.keys() | wanted.keys() if _shape(given.get(name)) != _shape(wanted.get(name))
    )
    if different:
        raise ValueError(
            f"initial_weights: {folder} is not a model of the sizes of this run; {len(different)} tensors differ: "
            f"{', '.join(different[:3])}{', ...' if len(different) > 3 else ''}"
        )
    model.load_state_dict(given)


def _shape(tensor: torch.Tensor | None) -> torch.Size | None:
    return None if tensor is None else tensor.shape
