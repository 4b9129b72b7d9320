"""An adapter in the model of a run, kept apart from its base in checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import FailureError


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
        raise FailureError(f"{len(names)} tensors are in one of both only, {names[0]} for one")
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
