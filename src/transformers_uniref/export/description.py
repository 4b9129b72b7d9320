"""`export.json`: what somebody needs to know who runs a graph without this package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..modeling.losses.criterion import MASK_STRIDE
from ..modeling.modeling_uniref import UniRefModel
from .paths import OUTPUTS, PATHS, SMALLEST, STEP, longest_sentence

if TYPE_CHECKING:
    from ..processors.processing_uniref import UniRefProcessor

DESCRIPTION = "export.json"


def describe_export(
    model: UniRefModel, processor: UniRefProcessor, paths: list[str], suffix: str, folder: Path
) -> dict[str, Any]:
    """Writes the processor's files into `folder` and returns the description of the graphs that goes beside them."""
    before = {file.name for file in folder.iterdir()}
    processor.save_pretrained(folder)
    written = {file.name for file in folder.iterdir()} - before
    images = processor.image_processor
    limit = images.enlarged_to
    description: dict[str, Any] = {
        "model_type": model.config.model_type,
        "graphs": {name: _graph(name, suffix) for name in paths},
        "sizes": {"multiple_of": STEP, "least": SMALLEST, "queries": model.num_queries},
        "pictures": {
            "channels": "RGB, 0 to 255",
            "mean": list(images.image_mean),
            "std": list(images.image_std),
            "size": dict(images.as_size(images.size, "size")),
            "few_shot_size": dict(images.as_size(images.few_shot_size, "few_shot_size")),
            "enlarged_to": None if limit is None else dict(images.as_size(limit, "enlarged_to")),
            "padding": "zeros at the right and below, after normalisation",
        },
        "masks": {
            "stride": 1 if model.config.full_resolution_masks else MASK_STRIDE,
            "threshold": 0.5,
            "score_threshold": processor.score_threshold,
        },
        "processor": "processor_config.json",
    }
    if "sentence" in paths:
        description["sentences"] = {
            "length": processor.text_length,
            "longest": longest_sentence(model),
            "tokenizer": "tokenizer.json" if "tokenizer.json" in written else None,
            "vocabulary": model.config.text_config.vocab_size,
            "normalisation": "lower case; .,'!?\"()*#:; deleted; - and / become blanks; runs of blanks become one",
        }
    return description


def _graph(name: str, suffix: str) -> dict[str, Any]:
    return {
        "file": f"{name}.{suffix}",
        "inputs": {
            given: {"dtype": entry.dtype, "shape": list(entry.dims)} for given, entry in PATHS[name].inputs.items()
        },
        "outputs": list(OUTPUTS),
    }
