"""A trained model as a Transformers folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..adapters.saving import replacing_folder
from ..core.errors import UsageError, one_line
from ..core.model_names import model_location
from ..core.provenance import Provenance, write_provenance
from .checkpointing import sync_folder
from .config.model import ModelOptions


def export_model(
    folder: Path,
    model: Any,
    processor: Any,
    provenance: Provenance,
    dtype: str = "float32",
    weights: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write weights, configuration, processor, and where they are from: all or nothing, over what was in `folder`.

    Of a model with an adapter, the adapter and the name of its base are written instead of weights and configuration.

    Args:
        processor: of `build_processor`.
        provenance: of `run_provenance.trained`.
        dtype: in which the weights are stored. The model's configuration keeps that of training, so a model that was
            stored in half precision to save space is loaded and run in float32 unless the caller asks for something
            else.
        weights: in the place of the model's own, which may be sharded.

    Raises:
        OSError: the system refused, such as on a full disk; what was in `folder` before is whole then.
    """
    stored = getattr(torch, dtype)
    state = {
        name: (value.to(stored) if value.is_floating_point() else value).contiguous().cpu()
        for name, value in (model.state_dict() if weights is None else weights).items()
    }
    options = {} if getattr(model, "peft_config", None) else {"save_original_format": False}
    with replacing_folder(folder) as partial:
        model.save_pretrained(partial, state_dict=state, **options)
        processor.save_pretrained(partial)
        write_provenance(partial, provenance)
    sync_folder(folder.parent)
    return folder


def build_processor(
    start: ModelOptions,
    tokenizer: Any,
    text_length: int,
    images: Mapping[str, Any],
    side: int,
    words: Sequence[str] = (),
) -> Any:
    """The processor of a run's model: that of `initial_weights` where the model is from there, else a new one.

    Args:
        start: what the model came from.
        tokenizer: of the model, where it is new.
        text_length: of the model.
        images, side: see `build_image_processor`; without `images` that of `initial_weights` stays as it is.
        words: of the run's sentences, added to those that `initial_weights` were taught; a model of which neither is
            known has no list of words.
    """
    from ..processors.processing_uniref import UniRefProcessor

    if not start.takes_initial_model:
        taught = {*words, *_taught_before(start.initial_weights)}
        return UniRefProcessor(
            build_image_processor(images, side),
            tokenizer,
            text_length,
            known_words=taught or None,
            audio_extractor=build_audio_extractor(start),
        )
    try:
        processor: Any = UniRefProcessor.from_pretrained(model_location(start.initial_weights))
    except OSError as error:
        raise UsageError(f"initial_weights: no processor in {start.initial_weights} ({one_line(error)})") from error
    if images:
        processor.image_processor = build_image_processor(images, side)
    if processor.known_words is not None:
        processor.known_words = sorted({*processor.known_words, *words})
    processor.audio_extractor = build_audio_extractor(start)
    return processor


def build_audio_extractor(start: ModelOptions) -> Any:
    """What the run's model hears through; None for a model that hears nothing.

    Raises:
        ValueError: `start.audio_extractor` describes none.
    """
    from ..processors.log_mel import LogMelExtractor, audio_extractor

    known = _processor_values(start.initial_weights).get("audio_extractor")
    if not start.model.get("use_audio_references"):
        return audio_extractor(known) if start.takes_initial_model else None
    try:
        return audio_extractor(start.audio_extractor or known) or LogMelExtractor()
    except (TypeError, ValueError) as error:
        raise UsageError(f"audio_extractor: {error}") from error


def _taught_before(source: str) -> Sequence[str]:
    """The words of the model whose weights the run starts from; none where it has no list of them."""
    return _processor_values(source).get("known_words") or ()


def _processor_values(source: str) -> Mapping[str, Any]:
    """The saved processor of the model whose weights the run starts from; empty where there is none."""
    from ..processors.processing_uniref import UniRefProcessor

    if not source:
        return {}
    try:
        values, _ = UniRefProcessor.get_processor_dict(model_location(source))
    except OSError:
        return {}
    return dict(values)


def build_image_processor(options: Mapping[str, Any], side: int) -> Any:
    """An image processor with these options; without any it resizes the shortest side to `side` for every task."""
    from ..processors.image_processing_uniref import UniRefImageProcessorPil

    try:
        return UniRefImageProcessorPil(**(options or {"size": {"shortest_edge": side, "longest_edge": 3 * side}}))
    except TypeError as error:
        raise UsageError(f"image_processor: {error}") from error
