"""Adapter folders: what is in them, for which base they are, and whether they fit the model at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..core.errors import UsageError, one_line
from ..core.hub_reach import reach_options, why_not_here
from ..core.model_names import NotDownloadedError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLE_FILE = "adapter_model.bin"
SHOWN = 3

# Of a tensor of an adapter: the dimension that must equal a dimension of the linear layer's weight (outputs, inputs).
_LOW_RANK = {".lora_A": (1, 1), ".lora_B": (0, 0), ".lora_magnitude_vector": (0, 0)}
_PREFIX = "base_model.model."


class AdapterError(UsageError):
    """An adapter that cannot be used, with one sentence that says why and what would be accepted."""


def find_file(source: str | os.PathLike[str], name: str, **options: Any) -> str | None:
    """The path of a file of a folder or Hub repository; None where it has none, or cannot be reached.

    Args:
        source: folder or Hub id.
        name: of the file.
        **options: `revision`, `token`, `cache_dir`, `subfolder`, `local_files_only` of Transformers.
    """
    from transformers.utils import cached_file

    if options.get("local_files_only") is None:
        options |= reach_options(source)
    return cached_file(
        str(source),
        name,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
        **options,
    )


def base_of(source: str | os.PathLike[str], **options: Any) -> str | None:
    """Folder or Hub id of the model that the adapter `source` is for; None when `source` is no adapter.

    A folder that holds a whole model with an adapter in it counts as that model.

    Raises:
        AdapterError: its configuration is damaged or names no base.
    """
    folder = Path(source)
    if folder.is_dir() and not (folder / CONFIG_FILE).is_file() or (folder / "config.json").is_file():
        return None
    try:
        file = find_file(source, CONFIG_FILE, **options)
    except (OSError, ValueError):  # no such repository, or not a name of one
        return None
    if file is None:
        return None
    try:
        values = json.loads(Path(file).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise AdapterError(f"{CONFIG_FILE} of the adapter {source} is no valid JSON ({error})") from error
    base = values.get("base_model_name_or_path") if isinstance(values, dict) else None
    if not base:
        raise AdapterError(f"{CONFIG_FILE} of the adapter {source} names no base model (base_model_name_or_path)")
    return str(base)


def require_base(source: str | os.PathLike[str], base: str) -> None:
    """Refuse an adapter whose base is not at hand.

    Args:
        source: of the adapter, for the message.
        base: what `base_of` says.

    Raises:
        AdapterError: names both.
    """
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(base, **reach_options(base))
    except NotDownloadedError as error:
        raise AdapterError(f"{source} is an adapter, and {error}") from error
    except (OSError, ValueError) as error:
        reason = why_not_here(base) or one_line(error)
        raise AdapterError(f"{source} is an adapter for {base}, which cannot be loaded: {reason}") from error


def require_safetensors(source: str | os.PathLike[str], allow_pickle: bool = False, **options: Any) -> str | None:
    """The path of the adapter's weights in safetensors.

    Args:
        source: folder or Hub id of an adapter.
        allow_pickle: whether a pickle file would do; then None is returned where there is nothing else.
        **options: see `find_file`.

    Raises:
        AdapterError: there is only a pickle and it is not allowed, or there are no weights.
    """
    weights = find_file(source, WEIGHTS_FILE, **options)
    if weights is not None or allow_pickle:
        return weights
    if find_file(source, PICKLE_FILE, **options) is not None:
        raise AdapterError(
            f"the adapter {source} holds a pickle ({PICKLE_FILE}), which can run code when it is loaded; accepted is "
            f"{WEIGHTS_FILE}. For one that you trust: from_pretrained(..., use_safetensors=False)"
        )
    raise AdapterError(f"the adapter {source} has no weights ({WEIGHTS_FILE})")


def base_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors of the base model, under their own names also when adapters are in it already."""
    shapes = {}
    for name, tensor in model.state_dict().items():
        if ".modules_to_save." in name or any(f"{part}." in name for part in _LOW_RANK):
            continue
        shapes[name.replace(".base_layer.", ".").replace(".original_module.", ".")] = tuple(tensor.shape)
    return shapes


def misfits(tensors: Mapping[str, tuple[int, ...]], shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What of an adapter has no place in a model, a sentence each.

    Args:
        tensors: shapes of the adapter's tensors, under the names of its file.
        shapes: of `base_shapes`.
    """
    found = []
    for key, shape in sorted(tensors.items()):
        name = key.removeprefix(_PREFIX)
        marker = next((part for part in _LOW_RANK if f"{part}." in name or name.endswith(part)), None)
        if marker is not None:
            layer = name.split(marker)[0]
            weight = shapes.get(f"{layer}.weight")
            own, its = _LOW_RANK[marker]
            if weight is None:
                found.append(f"{layer} is not there")
            elif len(weight) == 2 and len(shape) > own and shape[own] != weight[its]:
                found.append(f"{layer}{marker} {shape} is for other sizes than the layer's {weight}")
        elif name in shapes and shapes[name] != shape:
            found.append(f"{name} is {shape} in the adapter and {shapes[name]} in the model")
    return found


def clashes(tensors: Mapping[str, tuple[int, ...]], model: nn.Module) -> list[str]:
    """Where an adapter adds to a layer that one in the model keeps a copy of, or the other way round.

    PEFT cannot have both in one model at a time.
    """
    names = list(model.state_dict())
    copied = {name.split(".original_module.")[0] for name in names if ".original_module." in name}
    added_to = {name.split(".base_layer.")[0] for name in names if ".base_layer." in name}
    found = set()
    for key in tensors:
        name = key.removeprefix(_PREFIX)
        marker = next((part for part in _LOW_RANK if part in name), None)
        if marker is None:
            found |= {layer for layer in added_to if name.startswith(f"{layer}.")}
        else:
            layer = name.split(marker)[0]
            found |= {module for module in copied if f"{layer}.".startswith(f"{module}.")}
    return sorted(found)


def check_fits(source: str | os.PathLike[str], weights: str, model: Any, base: str | None = None) -> None:
    """Refuse an adapter that was made for a model of other sizes.

    Args:
        source: of the adapter, for the message.
        weights: its safetensors file; only the header is read.
        model: that it shall go into.
        base: what the adapter says it is for.

    Raises:
        AdapterError: names the adapter, the model, and what differs; or an adapter in the model that it cannot join.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="pt") as file:
            tensors = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118, no mapping
    except SafetensorError as error:
        raise AdapterError(f"the weights of the adapter {source} are damaged ({error})") from error
    wrong = misfits(tensors, base_shapes(model))
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        into = model.name_or_path or f"this {type(model).__name__}"
        made_for = f", which was made for {base}," if base and base != into else ""
        raise AdapterError(f"the adapter {source}{made_for} does not fit {into}: {'; '.join(wrong[:SHOWN])}{more}")
    both = clashes(tensors, model)
    if both:
        raise AdapterError(
            f"the adapter {source} cannot join {', '.join(model.peft_config)} in one model: of {both[0]} and "
            f"{len(both) - 1} more one adds to the layers and the other keeps a copy; adapters of one preset can"
        )


_DOWNLOAD_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


def check_adapter(source: str | os.PathLike[str], model: Any, allow_pickle: bool = False, **options: Any) -> None:
    """Look at an adapter before it is loaded into `model`.

    Args:
        source: folder or Hub id.
        model: that it shall go into.
        allow_pickle: see `require_safetensors`.
        **options: see `find_file`; others are ignored.

    Raises:
        AdapterError: it is a pickle, or does not fit.
    """
    known = {name: value for name, value in options.items() if name in _DOWNLOAD_OPTIONS and value is not None}
    if find_file(source, CONFIG_FILE, **known) is None:
        return  # Transformers says that there is no adapter
    weights = require_safetensors(source, allow_pickle, **known)
    if weights is not None:
        check_fits(source, weights, model, base_of(source, **known))
