"""A run on a model as it is: the one of `initial_weights` with its own configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from ...adapters.folders import base_of
from ...core.errors import UsageError, one_line
from ...core.families import MODEL_FAMILIES
from ...core.hub_reach import reach_options, why_not_here
from ...core.model_names import model_location
from ..config.model import ModelOptions

ADDED: dict[str, tuple[str, tuple[str, ...]]] = {
    "use_point_references": ("point_encoder.", ()),
    "use_audio_references": ("audio_encoder.", ("audio_config", "audio_tokens")),
}
"""Options that add a part to a model that lacks it: where its weights are, which begin at random, and its options."""
_OF_TRAINING = re.compile(r"matching|mask_loss_type|loss_normalizer|auxiliary_mask_losses|\w+_(loss_weight|dropout)")
"""Options of a model's configuration that decide about training alone: the trained model computes the same with any."""


def initial_config(config: ModelOptions) -> Any:
    """The configuration of the model that `config.initial_weights` names, with the run's losses and dropouts.

    Raises:
        ValueError: there is no UniRef model, it is an adapter, or `config.model` asks for another architecture.
    """
    source = model_location(config.initial_weights)
    if not source:
        raise UsageError("initial_weights: not set; name the model that is to be trained or that the adapter is for")
    base = base_of(source)
    if base is not None:
        raise UsageError(
            f"initial_weights: {source} is an adapter for {base}; make a model of both with `uniref export`, and "
            "name that"
        )
    try:
        found = AutoConfig.from_pretrained(source, **reach_options(source))
    except (OSError, ValueError) as error:
        reason = why_not_here(source) or one_line(error)
        raise UsageError(f"initial_weights: no model in {source} ({reason})") from error
    if found.model_type not in [family.model_type for family in MODEL_FAMILIES]:
        raise UsageError(f"initial_weights: {source} holds a model of type {found.model_type!r}; needed is a UniRef")
    changes = {}
    added = [own for switch, (_, own) in ADDED.items() if config.model.get(switch) and not getattr(found, switch)]
    addable = {*ADDED, *(name for own in added for name in own)}
    for name, value in config.model.items():
        if _says(found, name, value):
            continue
        if not (_OF_TRAINING.fullmatch(name) or (name in addable and value)):
            own = getattr(found, name, "nothing of it")
            raise UsageError(
                f"model.{name}: got {value!r}, and the configuration of {source} says {own!r}; the model is taken as "
                f"it is, only losses and dropouts may differ, and parts may be added ({', '.join(ADDED)}). model={{}} "
                "in `overrides` takes everything from there"
            )
        changes[name] = value
    result = AutoConfig.from_pretrained(source, **reach_options(source), **changes)
    # Options of `from_pretrained` are set after the configuration is made: that of a new part is still a dictionary.
    return type(result).from_dict(result.to_dict()) if added else result


def _says(found: Any, name: str, value: Any) -> bool:
    """Whether a configuration has this value; of a nested one the options that are named."""
    own = getattr(found, name, None)
    if isinstance(own, PreTrainedConfig) and isinstance(value, Mapping):
        return all(_says(own, inner, part) for inner, part in value.items())
    if isinstance(own, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(own) == list(value)
    return hasattr(found, name) and own == value


def load_initial_model(config: ModelOptions) -> Any:
    """The model of `config.initial_weights` in float32, in training mode.

    Raises:
        ValueError: see `initial_config`; or weights are missing.
    """
    source = model_location(config.initial_weights)
    model_config = initial_config(config)
    model_config._attn_implementation = config.attention
    loaded: Any = AutoModel.from_pretrained(
        source,
        config=model_config,
        dtype=torch.float32,
        attn_implementation=config.attention,
        output_loading_info=True,
        **reach_options(source, model=True),
    )
    model, account = loaded
    new = tuple(prefix for switch, (prefix, _) in ADDED.items() if config.model.get(switch))
    if missing := sorted(name for name in account["missing_keys"] if not name.startswith(new)):
        raise UsageError(f"initial_weights: {source} lacks {len(missing)} of its weights ({missing[0]}, ...)")
    return model.train()
