"""The head that exists in training alone."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("accelerate")

from transformers_uniref.training.step.auxiliary_head import AuxiliaryMaskHead  # noqa: E402


def test_the_auxiliary_head_prefers_the_right_mask():
    head = AuxiliaryMaskHead(4, 2)
    for conv in head.heads:
        torch.nn.init.ones_(conv.weight)
    targets = torch.zeros(2, 16, 16)
    targets[:, :8] = 1
    features = [torch.full((2, 4, 4, 4), -2.0), torch.full((2, 4, 2, 2), -2.0)]
    for level in features:
        level[:, :, : level.shape[2] // 2] = 2.0
    assert head(features, targets) < 0.1 < head([-level for level in features], targets)
