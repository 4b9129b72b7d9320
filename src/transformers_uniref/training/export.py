"""A trained model as a Transformers folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from ..hub.provenance import trained, write_provenance
from .checkpointing import sync_folder
from .config import TrainingConfig


def export_model(folder: Path, model: Any, tokenizer: Any, config: TrainingConfig, steps: int) -> Path:
    """Write weights after `steps` steps, configuration, processor and tokenizer, and where they are from.

    All or nothing is written, over what was in `folder`.

    `config.save_dtype` is how the weights are stored. The model's configuration keeps the dtype of training, so a model
    that was stored in half precision to save space is loaded and run in float32 unless the caller asks for something
    else.
    """
    from ..processors.processing_uniref import UniRefProcessor

    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    dtype = getattr(torch, config.save_dtype)
    state = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for name, value in model.state_dict().items()
    }
    model.save_pretrained(partial, state_dict=state, save_original_format=False)
    image_processor = build_image_processor(config)
    UniRefProcessor(image_processor, tokenizer, model.config.text_length).save_pretrained(partial)
    write_provenance(partial, trained(config, steps))
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
