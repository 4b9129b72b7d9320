"""The fusion of a new model."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("accelerate")

from transformers_uniref.training.model.initialisation import identity_fusion_  # noqa: E402


def test_identity_fusion_compares_like_with_like():
    class Fusion(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q_proj, self.k_proj = torch.nn.Linear(16, 32), torch.nn.Linear(16, 32)
            self.modulation = torch.nn.Linear(16, 48)

    fusion = Fusion()
    identity_fusion_(fusion, heads=4, noise=0.0, gate=0.5)
    x = torch.randn(5, 16)
    assert torch.equal(fusion.q_proj(x), fusion.k_proj(x))
    assert torch.equal(fusion.q_proj(x)[:, :8], x[:, :8]) and torch.equal(fusion.q_proj(x)[:, 8:16], x[:, 8:])
    assert (fusion.modulation.bias[32:] == 0.5).all()
