"""Learning rates and what decays."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("accelerate")

from transformers_uniref.training.config.loop import OptimizerConfig  # noqa: E402
from transformers_uniref.training.step.optimisation import learning_rate_factor, parameter_groups  # noqa: E402


def test_warm_up_and_cosine():
    config = OptimizerConfig(warmup_steps=10, final_share=0.1)
    factors = [learning_rate_factor(step, 100, config) for step in range(101)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == pytest.approx(1.0) and factors[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in zip(factors[10:], factors[11:], strict=False))


def test_norms_biases_and_embeddings_do_not_decay():
    model = torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
    decayed, free = parameter_groups(model, OptimizerConfig(weight_decay=0.1))
    assert [p.shape for p in decayed["params"]] == [(4, 4)] and len(free["params"]) == 4
