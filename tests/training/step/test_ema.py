"""The average of the weights."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("accelerate")

from transformers_uniref.training.step.ema import ExponentialMovingAverage  # noqa: E402


def test_the_average_follows_the_weights_and_comes_off_again():
    model = torch.nn.Linear(2, 1)
    ema = ExponentialMovingAverage(model, 0.5)
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    ema.update(model)
    own = model.weight.detach().clone()
    with ema.applied(model):
        assert torch.allclose(model.weight, start + 0.9)  # the first decay is 1 / 10
    assert torch.equal(model.weight, own)
