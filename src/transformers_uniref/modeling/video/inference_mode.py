"""In what surroundings a model computes the frames of a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from ...core.errors import UsageError
from ..precision import warn_if_slow
from .session import UniRefVideoSession

if TYPE_CHECKING:
    from .propagation import VideoPropagationMixin


def number_type(model: VideoPropagationMixin, session: UniRefVideoSession) -> torch.dtype:
    """In which a session computes: the model's where that is half precision, else the one that it was told."""
    return session.dtype if model.dtype == torch.float32 else model.dtype


@contextmanager
def computing(model: VideoPropagationMixin, session: UniRefVideoSession) -> Iterator[None]:
    """Without gradients, in evaluation mode, in the session's precision, on its device.

    Inference mode is left while it computes, since what is remembered of a frame may be written over by one that is
    followed without that mode.

    Raises:
        ValueError: the model is on another device.
    """
    wanted, actual = session.inference_device, model.device
    if wanted.type != actual.type or (wanted.index is not None and wanted.index != (actual.index or 0)):
        raise UsageError(f"`inference_device` of the session is {wanted}, but the model is on {actual}.")
    half = number_type(model, session)
    warn_if_slow(half, actual)
    training = [module for module in model.modules() if module.training] if model.training else []
    for module in training:
        module.training = False
    try:
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(actual.type, half, enabled=half != torch.float32),
        ):
            yield
    finally:
        for module in training:
            module.training = True
