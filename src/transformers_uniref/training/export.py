"""A trained model as a Transformers folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..adapters.saving import replacing_folder
from ..core.model_names import model_location
from ..core.provenance import write_provenance
from .checkpointing import sync_folder
from .config.training import TrainingConfig
from .run_provenance import trained


def export_model(
    folder: Path,
    model: Any,
    tokenizer: Any,
    config: TrainingConfig,
    steps: int,
    weights: Mapping[str, Tensor] | None = None,
    words: Sequence[str] = (),
) -> Path:
    """Write weights after `steps` steps, configuration, processor and tokenizer, and where they are from.

    All or nothing is written, over what was in `folder`.

    Of a model with an adapter, the adapter and the name of its base are written instead of weights and configuration.

    `config.save_dtype` is how the weights are stored. The model's configuration keeps the dtype of training, so a model
    that was stored in half precision to save space is loaded and run in float32 unless the caller asks for something
    else. `weights` take the place of the model's own, which may be sharded. `words` are those of the training's
    sentences, which the processor remembers (`build_processor`).

    Raises:
        OSError: the system refused, such as on a full disk; what was in `folder` before is whole then.
    """
    dtype = getattr(torch, config.save_dtype)
    state = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for name, value in (model.state_dict() if weights is None else weights).items()
    }
    processor = build_processor(config, tokenizer, model.config.text_length, words)
    with replacing_folder(folder) as partial:
        if config.peft:
            model.save_pretrained(partial, state_dict=state)
        else:
            model.save_pretrained(partial, state_dict=state, save_original_format=False)
        processor.save_pretrained(partial)
        write_provenance(partial, trained(config, steps))
    sync_folder(folder.parent)
    return folder


def build_processor(config: TrainingConfig, tokenizer: Any, text_length: int, words: Sequence[str] = ()) -> Any:
    """The processor of the run's model: that of `initial_weights` where the model is from there, else a new one.

    `config.image_processor` changes the image processor of either. `words`, of the run's sentences, are added to those
    that `initial_weights` were taught; a model of which neither is known has no list of words.
    """
    from ..processors.processing_uniref import UniRefProcessor

    if not config.takes_initial_model:
        taught = {*words, *_taught_before(config)}
        return UniRefProcessor(build_image_processor(config), tokenizer, text_length, known_words=taught or None)
    try:
        processor: Any = UniRefProcessor.from_pretrained(model_location(config.initial_weights))
    except OSError as error:
        raise ValueError(
            f"initial_weights: no processor in {config.initial_weights} ({str(error).splitlines()[0]})"
        ) from error
    if config.image_processor:
        processor.image_processor = build_image_processor(config)
    if processor.known_words is not None:
        processor.known_words = sorted({*processor.known_words, *words})
    return processor


def _taught_before(config: TrainingConfig) -> Sequence[str]:
    """The words of the model whose weights the run starts from; none where it has no list of them."""
    from ..processors.processing_uniref import UniRefProcessor

    if not config.initial_weights:
        return ()
    try:
        values, _ = UniRefProcessor.get_processor_dict(model_location(config.initial_weights))
    except OSError:
        return ()
    return values.get("known_words") or ()


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
