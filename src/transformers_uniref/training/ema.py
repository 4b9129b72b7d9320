"""Exponential moving average of a model's parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """Average of the trained weights: after update t (0-based) the decay is min(decay, (1 + t) / (10 + t)).

    The early, smaller decay forgets the random start. Frozen parameters and buffers are not averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"decay: got {decay}; accepted: 0 <= decay < 1")
        self.decay = decay
        self.updates = 0
        self.parameters = {
            name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the present weights of `model`."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        current = dict(model.named_parameters())
        torch._foreach_lerp_(list(self.parameters.values()), [current[name] for name in self.parameters], 1.0 - decay)
        self.updates += 1

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside the block `model` carries the averaged weights; afterwards its own come back."""
        own: dict[str, Tensor] = {}
        averaged = {name: value for name, value in model.named_parameters() if name in self.parameters}
        for name, value in averaged.items():
            own[name] = value.data
            value.data = self.parameters[name]
        try:
            yield
        finally:
            for name, value in averaged.items():
                value.data = own[name]

    def state_dict(self) -> dict:
        return {"updates": self.updates, "parameters": self.parameters}

    def load_state_dict(self, state: dict) -> None:
        self.updates = int(state["updates"])
        for name, value in self.parameters.items():
            value.copy_(state["parameters"][name])
