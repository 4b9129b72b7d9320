"""Start weights that come from elsewhere: the previous stage's model, or a public backbone and text encoder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from ...core.errors import UsageError
from ...core.model_names import model_location

WORD_EMBEDDINGS = "language_encoder.text_encoder.embeddings.word_embeddings.weight"
SHOWN = 4
# Bookkeeping of layers that the model has in another form; nobody misses it.
_UNUSED_WITHOUT_A_WORD = re.compile(r"num_batches_tracked$|(^|\.)pooler\.|position_ids$|^swin\.layernorm\.|\.running_")


def load_initial_weights_(model: Any, source: str, skip: Sequence[str], more_words: bool = False) -> list[str]:
    """Copy the weights of the UniRef model `source` (folder or Hub id) into `model`, where both have them.

    Args:
        model: the new model; what `source` lacks keeps its values.
        source: such as the `final` folder of the previous stage.
        skip: regular expressions; tensors whose name one is found in are not taken.
        more_words: the tokenizer of `source` was extended (`extend_tokenizer`): its words keep their embeddings, new
            ones are drawn from a normal distribution with the mean and deviation of these, so that the text encoder
            finds them where it expects words (Hewitt 2021, "Initializing new word embeddings").

    Returns:
        lines that name what is new in `model`, what of `source` is not used, and what was skipped.

    Raises:
        OSError: there is no such model.
        ValueError: it is a model of another type, a tensor has another shape and is not skipped, or a pattern of `skip`
            is found in no name.
    """
    source = model_location(source)
    values, _ = PreTrainedConfig.get_config_dict(source)
    if values.get("model_type") != model.config.model_type:
        raise UsageError(
            f"initial_weights: {source} holds a model of type {values.get('model_type')!r}; needed is "
            f"{model.config.model_type!r}"
        )
    given = type(model).from_pretrained(source, dtype=torch.float32).state_dict()
    wanted = model.state_dict()
    for pattern in skip:
        if not any(re.search(pattern, name) for name in given):
            raise UsageError(f"initial_weights_skip: {pattern!r} is found in no tensor's name in {source}")
    skipped = {name for name in given if any(re.search(pattern, name) for pattern in skip)}
    words: list[str] = []
    if more_words and WORD_EMBEDDINGS in given and WORD_EMBEDDINGS not in skipped:
        rows = given[WORD_EMBEDDINGS]
        missing = len(wanted[WORD_EMBEDDINGS]) - len(rows)
        noise = torch.randn(max(missing, 0), rows.shape[1])
        given[WORD_EMBEDDINGS] = torch.cat([rows, rows.mean(0) + rows.std(0) * noise])
        words.append(f"  new words in the vocabulary: {missing}")
    taken = {name: value for name, value in given.items() if name in wanted and name not in skipped}
    _refuse_other_shapes("initial_weights", source, taken, wanted, "name them in `initial_weights_skip` to start anew")
    model.load_state_dict(taken, strict=False)
    lines = [f"start weights from {source}: {len(taken)} of {len(wanted)} tensors"]
    lines += words + _line("new, with other start values", [name for name in wanted if name not in given])
    lines += _line("not used", [name for name in given if name not in wanted and name not in skipped])
    lines += _line("skipped", sorted(skipped))
    return lines


def load_part_(option: str, source: str, part: PreTrainedModel, config: PreTrainedConfig, **options: Any) -> list[str]:
    """Copy a public backbone or text encoder into that of a model.

    Args:
        option: that asks for it, for messages.
        source: folder or Hub id of such a model, or of one that contains it.
        part: the model's own.
        config: of it.
        **options: of `from_pretrained`.

    Returns:
        lines that name what the source lacks and what of it is not used.

    Raises:
        OSError, ValueError: no such model, or of another shape.
    """
    made: Any = type(part).from_pretrained(
        source, config=config, dtype=torch.float32, output_loading_info=True, **options
    )
    loaded, info = made
    given, wanted = loaded.state_dict(), part.state_dict()
    missing = set(info["missing_keys"])
    taken = {name: value for name, value in given.items() if name in wanted and name not in missing}
    if not taken:
        raise UsageError(f"{option}: {source} holds nothing of a {type(part).__name__}")
    _refuse_other_shapes(option, source, taken, wanted, "its configuration and this run's differ")
    part.load_state_dict(taken, strict=False)
    lines = [f"{option} from {source}: {len(taken)} of {len(wanted)} tensors"]
    lines += _line("new, with other start values", [name for name in wanted if name not in taken])
    lines += _line(
        "not used", [name for name in given if name not in wanted and not _UNUSED_WITHOUT_A_WORD.search(name)]
    )
    return lines


def _refuse_other_shapes(
    option: str, source: str, taken: Mapping[str, Tensor], wanted: Mapping[str, Tensor], advice: str
) -> None:
    other = [
        f"{name} {tuple(value.shape)} instead of {tuple(wanted[name].shape)}"
        for name, value in taken.items()
        if value.shape != wanted[name].shape
    ]
    if other:
        more = f" and {len(other) - SHOWN} more" if len(other) > SHOWN else ""
        raise UsageError(f"{option}: {source} has tensors of other shapes: {', '.join(other[:SHOWN])}{more}; {advice}")


def _line(title: str, names: Sequence[str]) -> list[str]:
    """Tensor names summed up by module: "  new: mask_encoder (132 tensors), fusion (9)"."""
    counts: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        short = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts) - 1)
        module = ".".join(parts[: max(1, min(short, 2))])
        counts[module] = counts.get(module, 0) + 1
    if not counts:
        return []
    return [f"  {title}: " + ", ".join(f"{name} ({count})" for name, count in counts.items())]
