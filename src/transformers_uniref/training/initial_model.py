"""A run on a model as it is: the one of `initial_weights` with its own configuration, and an adapter in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from ..adapters.folders import base_of
from ..adapters.presets import attach_adapter, config_for
from ..core.families import MODEL_FAMILIES
from ..core.hub_reach import reach_options, why_not_here
from ..core.model_names import model_location
from .config.training import TrainingConfig

MAY_DIFFER = (
    "matching",
    "mask_loss_type",
    "loss_normalizer",
    "class_loss_weight",
    "box_loss_weight",
    "giou_loss_weight",
    "mask_loss_weight",
    "dice_loss_weight",
    "auxiliary_mask_losses",
    "mask_cls_loss_weight",
    "mask_iou_loss_weight",
    "score_loss_weight",
    "mask_pooled_dropout",
    "fusion_dropout",
    "text_dropout",
)
"""Options of a model's configuration that decide about training alone: the trained model computes the same with any."""


def initial_config(config: TrainingConfig) -> Any:
    """The configuration of the model that `config.initial_weights` names, with the run's losses and dropouts.

    Raises:
        ValueError: there is no UniRef model, it is an adapter, or `config.model` asks for another architecture.
    """
    source = model_location(config.initial_weights)
    if not source:
        raise ValueError("initial_weights: not set; name the model that is to be trained or that the adapter is for")
    base = base_of(source)
    if base is not None:
        raise ValueError(
            f"initial_weights: {source} is an adapter for {base}; make a model of both with `uniref export`, and "
            "name that"
        )
    try:
        found = AutoConfig.from_pretrained(source, **reach_options(source))
    except (OSError, ValueError) as error:
        reason = why_not_here(source) or str(error).splitlines()[0]
        raise ValueError(f"initial_weights: no model in {source} ({reason})") from error
    if found.model_type not in [family.model_type for family in MODEL_FAMILIES]:
        raise ValueError(f"initial_weights: {source} holds a model of type {found.model_type!r}; needed is a UniRef")
    changes = {}
    for name, value in config.model.items():
        if _says(found, name, value):
            continue
        if name not in MAY_DIFFER:
            own = getattr(found, name, "nothing of it")
            raise ValueError(
                f"model.{name}: got {value!r}, and the configuration of {source} says {own!r}; the model is taken as "
                "it is, only losses and dropouts may differ. model={} in `overrides` takes everything from there"
            )
        changes[name] = value
    return AutoConfig.from_pretrained(source, **reach_options(source), **changes)


def _says(found: Any, name: str, value: Any) -> bool:
    """Whether a configuration has this value; of a nested one the options that are named."""
    own = getattr(found, name, None)
    if isinstance(own, PreTrainedConfig) and isinstance(value, Mapping):
        return all(_says(own, inner, part) for inner, part in value.items())
    if isinstance(own, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(own) == list(value)
    return hasattr(found, name) and own == value


def load_initial_model(config: TrainingConfig) -> Any:
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
    if missing := sorted(account["missing_keys"]):
        raise ValueError(f"initial_weights: {source} lacks {len(missing)} of its weights ({missing[0]}, ...)")
    return model.train()


def put_adapter_in(model: Any, config: TrainingConfig) -> None:
    """Put the adapter of `config.peft` into `model`; what else is in it is trained no more.

    Raises:
        ValueError: there is no such preset, or PEFT refuses the configuration.
    """
    try:
        peft_config = config_for(model, config.peft.preset, config.peft.config)
    except ValueError as error:
        raise ValueError(f"peft: {error}") from error
    attach_adapter(model, peft_config, model_location(config.initial_weights))


def keep_frozen_statistics(model: nn.Module) -> None:
    """Let batch norms outside of the adapter normalise by their kept statistics, and leave these as they are.

    Called after `model.train()`. A base that moved in training would not be the one that is loaded again.
    """
    for module in model.modules():
        frozen = not any(parameter.requires_grad for parameter in module.parameters())
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and frozen:
            module.eval()


def changing_state(model: nn.Module) -> dict[str, Tensor]:
    """The part of `state_dict()` that training an adapter changes: all but the frozen parameters."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def restore_changing_state_(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load what `changing_state` returned.

    Raises:
        RuntimeError: names or shapes differ.
    """
    wanted = set(changing_state(model))
    if wanted != set(state):
        names = sorted(wanted ^ set(state))
        raise RuntimeError(f"{len(names)} tensors are in one of both only, {names[0]} for one")
    model.load_state_dict(dict(state), strict=False)


def base_fingerprint(model: nn.Module) -> str:
    """A hash of the frozen parameters, by which a changed base is noticed."""
    fingerprint = hashlib.blake2b(digest_size=16)
    for name, parameter in sorted(model.named_parameters(), key=lambda item: item[0]):
        if not parameter.requires_grad:
            fingerprint.update(name.encode())
            data: Any = parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            fingerprint.update(data)
    return fingerprint.hexdigest()
