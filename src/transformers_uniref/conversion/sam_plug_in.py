"""An untrained UniRef-SAM around a Transformers SAM: new reference encoders, and a fusion that changes nothing yet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.errors import one_line
from ..core.hub_reach import reach_options, why_not_here
from ..core.provenance import assembled
from ..modeling.configuration_uniref_sam import UniRefSamConfig
from ..modeling.modeling_uniref_sam import UniRefSamModel
from .converter import (
    DEFAULT_TEXT_ENCODERS,
    NO_TEXT_ENCODER,
    ConversionAccount,
    check_output,
    load_tokenizer,
    save_folder,
)
from .variants import CheckpointError, apply_overrides

_PARTS = {
    "vision_encoder.": "visual_encoder.backbone.",
    "prompt_encoder.": "prompt_encoder.",
    "mask_decoder.": "mask_decoder.",
}
_TEXT_ENCODER = "language_encoder.text_encoder."
_SEED = 0


def build_around_sam(
    sam: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    text_encoder: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> ConversionAccount:
    """Write the folder of a `UniRefSamModel` that has yet to be trained.

    Its fused features equal SAM's own image embedding until training opens the fusion's gate. Equal arguments give
    equal weights.

    Args:
        sam: folder or Hub id of a Transformers SAM model.
        output_dir: the folder to write.
        text_encoder: folder or Hub id of the text encoder and its tokenizer; None: `google-bert/bert-base-uncased`;
            "none": a model that reads no sentences.
        overrides: configuration options by dotted name.
        overwrite: replace `output_dir` where it already holds a model.

    Raises:
        CheckpointError: with one line that says what is wrong; nothing has been written then.
    """
    output = Path(output_dir).expanduser().absolute()
    check_output(output, overwrite)
    source = _load_sam(sam)
    reads_text = text_encoder is None or str(text_encoder) != NO_TEXT_ENCODER
    text_source = str(text_encoder or DEFAULT_TEXT_ENCODERS["bert"])
    text = _load_text_encoder(text_source) if reads_text else None
    config = _make_config(source.config, text, overrides)
    tokenizer = load_tokenizer(config, text_source) if reads_text else None

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = UniRefSamModel(config)
    account = ConversionAccount()
    state = model.state_dict()
    for name, tensor in source.state_dict().items():
        part = next((part for part in _PARTS if name.startswith(part)), None)
        if part is None:
            account.dropped[name] = "a second name of the prompt encoder's position embedding"
        else:
            _take(state, _PARTS[part] + name.removeprefix(part), name, tensor, account)
    for name, tensor in ({} if text is None else text.state_dict()).items():
        _take(state, _TEXT_ENCODER + name, f"text encoder: {name}", tensor, account)
    model.load_state_dict(state)
    produced = {target for targets in account.mapped.values() for target in targets}
    for name in state:
        if name not in produced:
            account.created[name] = "new, to be trained"
    provenance = assembled(sam=sam, text_encoder=text_source if reads_text else None)
    save_folder(model, tokenizer, output, provenance, account)
    account.variant = config.to_diff_dict()
    return account


def _take(
    state: dict[str, torch.Tensor], wanted: str, name: str, tensor: torch.Tensor, account: ConversionAccount
) -> None:
    if wanted not in state or state[wanted].shape != tensor.shape:
        place = tuple(state[wanted].shape) if wanted in state else "no place"
        raise CheckpointError(f"{name} {tuple(tensor.shape)} does not fit the model, which has {place} for it")
    state[wanted] = tensor
    account.mapped[name] = [wanted]


def _load_sam(sam: str | os.PathLike[str]) -> Any:
    from transformers import AutoConfig, SamModel

    try:
        config = AutoConfig.from_pretrained(sam, **reach_options(sam))
    except (OSError, ValueError) as error:
        reason = why_not_here(sam) or one_line(error)
        raise CheckpointError(f"`sam` {sam}: no Transformers model there ({reason})") from error
    if config.model_type != "sam":
        raise CheckpointError(
            f"`sam` {sam}: a model of type {config.model_type!r}; accepted are SAM models, type 'sam' (ViT-B, L or H)"
        )
    try:
        loaded: Any = SamModel.from_pretrained(
            sam, config=config, dtype=torch.float32, output_loading_info=True, **reach_options(sam, model=True)
        )
    except Exception as error:  # the hub, the file system and safetensors all raise their own
        raise CheckpointError(f"`sam` {sam}: its weights could not be loaded ({one_line(error)})") from error
    model, account = loaded
    if missing := sorted(account["missing_keys"]):
        raise CheckpointError(f"`sam` {sam}: it lacks {len(missing)} of its weights ({missing[0]}, ...)")
    return model


def _load_text_encoder(source: str) -> Any:
    from transformers import AutoModel

    try:
        return AutoModel.from_pretrained(
            source, dtype=torch.float32, add_pooling_layer=False, **reach_options(source, model=True)
        )
    except Exception as error:  # as above
        raise CheckpointError(
            f"the text encoder {source!r} could not be loaded; give a folder that holds it and its tokenizer as "
            f'`text_encoder`, or "none" for a model without sentences ({one_line(error)})'
        ) from error


def _make_config(sam: Any, text: Any, overrides: Mapping[str, Any] | None) -> UniRefSamConfig:
    overrides = dict(overrides or {})
    values = {
        "vision_config": sam.vision_config.to_dict(),
        "prompt_encoder_config": sam.prompt_encoder_config.to_dict(),
        "mask_decoder_config": sam.mask_decoder_config.to_dict(),
        "text_config": None if text is None else text.config.to_dict(),
        "use_language_references": text is not None,
        "d_model": sam.vision_config.output_channels,
    }
    try:
        return UniRefSamConfig(**apply_overrides(values, UniRefSamConfig(**values).to_dict(), overrides))
    except CheckpointError:
        raise
    except Exception as error:  # whatever the strict configurations raise
        raise CheckpointError(f"refused by the configuration: {one_line(error)}") from error
