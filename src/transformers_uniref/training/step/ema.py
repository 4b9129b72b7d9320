"""Exponential moving average of a model's parameters and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ...core.errors import UsageError
from ..sharding.sharding import is_sharded, local, piece_of, put_away_


class ExponentialMovingAverage:
    """Average of the trained weights: after update t (0-based) the decay is min(decay, (1 + t) / (10 + t)).

    The early, smaller decay forgets the random start. Frozen parameters and buffers are not averaged. Of a sharded
    model every process averages its own piece.

    Not `torch.optim.swa_utils.AveragedModel`: that copies the weights at its first update, where this average and those
    in checkpoints go on from the start values, and it holds the frozen weights a second time.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise UsageError(f"decay: got {decay}; accepted: 0 <= decay < 1")
        self.decay = decay
        self.updates = 0
        self.parameters = {
            name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad
        }

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the present weights of `model`."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        put_away_(model)
        current = dict(model.named_parameters())
        averages = [local(value) for value in self.parameters.values()]
        get_ema_multi_avg_fn(decay)(averages, [local(current[name]) for name in self.parameters], self.updates)
        self.updates += 1

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside the block `model` carries the averaged weights; afterwards its own come back."""
        if is_sharded(model):
            with self._copied(model):
                yield
            return
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

    @contextmanager
    def _copied(self, model: nn.Module) -> Iterator[None]:
        """`applied` by copying: FSDP2 gathers from the very memory in which it has put the pieces."""
        put_away_(model)
        own = {name: local(value).clone() for name, value in model.named_parameters() if name in self.parameters}
        self._write({name: local(value) for name, value in self.parameters.items()}, model)
        try:
            yield
        finally:
            put_away_(model)
            self._write(own, model)

    @torch.no_grad()
    def _write(self, pieces: dict[str, Tensor], model: nn.Module) -> None:
        for name, value in model.named_parameters():
            if name in pieces:
                local(value).copy_(pieces[name])

    def state_dict(self) -> dict:
        return {"updates": self.updates, "parameters": self.parameters}

    def load_state_dict(self, state: dict) -> None:
        """Continue from `state`, whose tensors are whole."""
        self.updates = int(state["updates"])
        for name, value in self.parameters.items():
            value.copy_(piece_of(state["parameters"][name], value))
