"""A digest by which it is known whether two answers came from the same model."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_OF_THE_MACHINE = ("_name_or_path", "name_or_path", "transformers_version", "tokenizer_file")


def model_digest(model: Any, processor: Any) -> Any:
    """A SHA-256 object over weights, configuration and processor, to which more may be added.

    Where the model lies, and the version of Transformers, do not count.
    """
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    for part in (model.config, processor):
        digest.update(json.dumps(_portable(part.to_dict()), sort_keys=True, default=str).encode())
    return digest


def _portable(values: Any) -> Any:
    """A configuration without what differs between machines and versions of Transformers."""
    if isinstance(values, dict):
        return {str(name): _portable(value) for name, value in values.items() if name not in _OF_THE_MACHINE}
    return [_portable(value) for value in values] if isinstance(values, (list, tuple)) else values
