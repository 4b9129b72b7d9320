"""A new model and its tokenizer from the training configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, BertConfig, ResNetConfig

from ...adapters.presets import attach_adapter, config_for
from ...core.errors import UsageError, one_line
from ...core.hub_reach import reach_options
from ...core.model_names import model_location
from ..config.model import ModelOptions
from .freezing import freeze_model_, trained_share
from .initial_model import initial_config, load_initial_model
from .initialisation import calm_controller_, identity_fusion_
from .start_weights import WORD_EMBEDDINGS, load_initial_weights_, load_part_
from .tokenizer import build_tokenizer, extend_tokenizer


def choose_tokenizer(config: ModelOptions, words: Sequence[str]) -> Any:
    """The tokenizer of `text_weights`, or else that of `initial_weights`, or else one over `words`.

    A run that takes the whole model of `initial_weights` takes its tokenizer.

    Args:
        words: that the data's sentences are made of; empty when the data do not say.

    A previous stage that reads sentences brings its tokenizer, for its word embeddings belong to it, unless
    `initial_weights_skip` leaves these out.

    Raises:
        ValueError: the model reads sentences and there is no tokenizer.
    """
    if config.takes_initial_model:
        known = initial_config(config)
        if known.use_language_references:
            return _load_tokenizer(config.initial_weights, "initial_weights", known.text_length)
        return build_tokenizer(words, known.text_length)
    text_length = int(config.model.get("text_length", 77))
    if config.text_weights:
        return _load_tokenizer(config.text_weights, "text_weights", text_length)
    if not config.model.get("use_language_references", True):
        return build_tokenizer(words, text_length)
    if words and not _takes_word_embeddings(config):
        return build_tokenizer(words, text_length)
    if config.initial_weights:
        known = _load_tokenizer(config.initial_weights, "initial_weights", text_length)
        return extend_tokenizer(known, words, text_length) if config.extend_vocabulary else known
    raise UsageError(
        "text_weights: empty, and the data bring no vocabulary; name a BERT folder or id, or a previous stage in "
        "`initial_weights`"
    )


def _takes_word_embeddings(config: ModelOptions) -> bool:
    """Whether the run goes on with the word embeddings of `initial_weights`, and a tokenizer is there with them."""
    from transformers import PreTrainedConfig
    from transformers.utils import cached_file

    if not config.initial_weights or any(re.search(skip, WORD_EMBEDDINGS) for skip in config.initial_weights_skip):
        return False
    values, _ = PreTrainedConfig.get_config_dict(config.initial_weights)
    tokenizer = cached_file(
        config.initial_weights, "tokenizer_config.json", _raise_exceptions_for_missing_entries=False
    )
    return values.get("use_language_references", True) and tokenizer is not None


def _load_tokenizer(source: str, option: str, text_length: int) -> Any:
    try:
        return AutoTokenizer.from_pretrained(
            model_location(source), model_max_length=text_length, **reach_options(model_location(source))
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"{option}: no tokenizer in {source} ({one_line(error)})") from error


def build_model_config(config: ModelOptions, vocabulary_size: int) -> Any:
    """The model's configuration: `config.model` with a backbone and a text encoder of the configured sizes."""
    from ...modeling.configuration_uniref import UniRefConfig
    from ...modeling.configuration_uniref_sam import UniRefSamConfig

    reserved = sorted({"backbone_config", "text_config"} & set(config.model))
    if reserved:
        raise UsageError(f"model.{reserved[0]}: is built from the sections `backbone` and `text`; set those")
    text = _text_config(config, vocabulary_size) if config.model.get("use_language_references", True) else None
    if config.architecture == "uniref_sam":
        return UniRefSamConfig(text_config=text, **config.model)
    return UniRefConfig(backbone_config=_backbone_config(config), text_config=text, **config.model)


def _backbone_config(config: ModelOptions) -> Any:
    if config.backbone_weights:
        return AutoConfig.from_pretrained(
            config.backbone_weights, **reach_options(config.backbone_weights), **config.backbone.config
        )
    if config.backbone.config:
        return _library_config("backbone.config", config.backbone.config)
    return ResNetConfig(
        embedding_size=config.backbone.embedding_size,
        hidden_sizes=list(config.backbone.hidden_sizes),
        depths=list(config.backbone.depths),
        layer_type=config.backbone.layer_type,
    )


def _text_config(config: ModelOptions, vocabulary_size: int) -> Any:
    if config.text_weights or config.text.config:
        if config.text_weights:
            text = AutoConfig.from_pretrained(
                config.text_weights, **reach_options(config.text_weights), **config.text.config
            )
        else:
            text = _library_config("text.config", {"vocab_size": vocabulary_size, **config.text.config})
        if text.vocab_size < vocabulary_size:
            raise UsageError(
                f"text.config: the text encoder knows {text.vocab_size} tokens, its tokenizer {vocabulary_size}"
            )
        return text
    return BertConfig(
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


def _library_config(option: str, values: dict[str, Any]) -> Any:
    arguments = dict(values)
    kind = arguments.pop("model_type", None)
    if kind is None:
        raise UsageError(f"{option}: `model_type` is missing, such as resnet, swin or bert")
    return AutoConfig.for_model(kind, **arguments)


def build_model(config: ModelOptions, vocabulary_size: int, report: list[str] | None = None) -> Any:
    """The model with the run's start weights and frozen parts: equal configurations give equal weights.

    Args:
        report: gets a line for everything that did not start from random weights, and one for what is frozen.

    Returns:
        a `UniRefModel`, or a `UniRefSamModel` where `config.architecture` says so.
    """
    torch.manual_seed(config.seed)
    lines: list[str] = []
    if config.takes_initial_model:
        model = load_initial_model(config)
        lines.append(f"the model is that of {config.initial_weights}, its configuration included")
    else:
        model = _new_model(config, vocabulary_size, lines)
    frozen = freeze_model_(model, config.freeze, config.frozen)
    if frozen:
        asked = [*([] if config.freeze == "full" else [config.freeze]), *config.frozen]
        lines.append(f"frozen: {len(frozen)} tensors ({', '.join(asked)})")
    if config.peft:
        try:
            peft_config = config_for(model, config.peft.preset, config.peft.config)
        except ValueError as error:
            raise UsageError(f"peft: {error}") from error
        attach_adapter(model, peft_config, model_location(config.initial_weights))
    if frozen or config.peft:
        trained, own = trained_share(model)
        kind = f"adapter {config.peft.preset or config.peft.config['peft_type']}: " if config.peft else ""
        lines.append(f"{kind}{trained:,} of {own:,} parameters are trained ({100 * trained / own:.2f} %)")
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if report is not None:
        report += lines
    return model


def _new_model(config: ModelOptions, vocabulary_size: int, lines: list[str]) -> Any:
    """A model of the configured sizes, with its start weights; `lines` get what is said about them."""
    from ...modeling.modeling_uniref import UniRefModel
    from ...modeling.modeling_uniref_sam import UniRefSamModel

    model_config = build_model_config(config, vocabulary_size)
    model_config._attn_implementation = config.attention
    model: Any = (UniRefSamModel if config.architecture == "uniref_sam" else UniRefModel)(model_config)
    start = config.initialisation
    if start.fusion_identity and hasattr(model, "fusion"):
        identity_fusion_(model.fusion, model_config.fusion_heads, start.noise, start.gate)
    if hasattr(model, "mask_head"):
        calm_controller_(model.mask_head.controller, start.controller_scale)
    if config.backbone_weights:
        backbone = model.visual_encoder.backbone
        lines += load_part_("backbone_weights", config.backbone_weights, backbone, model_config.backbone_config)
    if config.text_weights and model_config.use_language_references:
        encoder, text = model.language_encoder.text_encoder, model_config.text_config
        lines += load_part_("text_weights", config.text_weights, encoder, text, add_pooling_layer=False)
    if config.initial_weights:
        lines += load_initial_weights_(
            model, config.initial_weights, config.initial_weights_skip, config.extend_vocabulary
        )
    return model
