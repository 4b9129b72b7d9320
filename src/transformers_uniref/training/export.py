"""A trained model as a Transformers folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpointing import sync_folder
from .config import TrainingConfig


def export_model(
    folder: Path, model: Any, tokenizer: Any, config: TrainingConfig, weights: Mapping[str, Tensor] | None = None
) -> Path:
    """Write weights, configuration, processor and tokenizer, whole or not at all, over what was in `folder`.

    `config.save_dtype` is how the weights are stored. The model's configuration keeps the dtype of training, so a model
    that was stored in half precision to save space is loaded and run in float32 unless the caller asks for something
    else. `weights` take the place of the model's own, which may be sharded.
    """
    from ..processors.processing_uniref import UniRefProcessor

    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    dtype = getattr(torch, config.save_dtype)
    state = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for name, value in (model.state_dict() if weights is None else weights).items()
    }
    model.save_pretrained(partial, state_dict=state, save_original_format=False)
    image_processor = build_image_processor(config)
    UniRefProcessor(image_processor, tokenizer, model.config.text_length).save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    sync_folder(folder.parent)
    return folder


def build_image_processor(config: TrainingConfig) -> Any:
    """The image processor of the run's model.

    It is made of `config.image_processor`, or else resizes to the pixels of the last scenes: shortest side
    `config.image_sizes[-1].size` for every task.
    """
    from ..processors.image_processing_uniref import UniRefImageProcessorPil

    side = config.image_sizes[-1].size
    options = config.image_processor or {"size": {"shortest_edge": side, "longest_edge": 3 * side}}
    try:
        return UniRefImageProcessorPil(**options)
    except TypeError as error:
        raise ValueError(f"image_processor: {error}") from error
