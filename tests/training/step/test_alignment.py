"""The training-only alignment losses ask the fusion's projections for the right object."""

from __future__ import annotations

import torch
from torch import nn

from transformers_uniref.training.step.alignment import (
    FusionRecord,
    alignment_loss,
    example_alignment_loss,
    recorded_fusion,
)

HEAD_DIM, SIZE, SHAPE = 4, 16, (4, 4)


def left_and_right() -> tuple[torch.Tensor, torch.Tensor]:
    left = torch.zeros(SIZE, SIZE)
    left[:, :8] = 1
    return left, 1 - left


def queries_of(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(1, 16, d): one vector in the left half of the map, another in the right half."""
    grid = torch.empty(*SHAPE, left.numel())
    grid[:, :2], grid[:, 2:] = left, right
    return grid.flatten(0, 1)[None]


def test_a_sentence_that_agrees_with_its_object_costs_little():
    left, right = left_and_right()
    a, b = torch.eye(8)[0] * 10, torch.eye(8)[1] * 10
    record = FusionRecord(queries=[queries_of(a, b)], keys=[torch.stack([a, b])[:, None]])
    arguments = (HEAD_DIM, [SHAPE], torch.ones(2, 1), torch.tensor([0, 0]))
    loss, share = alignment_loss(record, *arguments, torch.stack([left, right]), [right[None], left[None]])
    assert loss < 1e-3 and share == 1
    loss, share = alignment_loss(record, *arguments, torch.stack([right, left]), [left[None], right[None]])
    assert loss > 10 and share == 0


def test_padding_tokens_and_absent_objects_do_not_count():
    left, right = left_and_right()
    a, b = torch.eye(8)[0] * 10, torch.eye(8)[1] * 10
    keys = torch.stack([torch.stack([a, b * 100])])
    record = FusionRecord(queries=[queries_of(a, b)], keys=[keys])
    loss, share = alignment_loss(
        record, HEAD_DIM, [SHAPE], torch.tensor([[1, 0]]), torch.tensor([0]), left[None], [right[None]]
    )
    assert loss < 1e-3 and share == 1
    loss, _ = alignment_loss(
        record, HEAD_DIM, [SHAPE], torch.tensor([[1, 0]]), torch.tensor([0]), left[None] * 0, [right[None]]
    )
    assert loss == 0


def test_an_object_chooses_its_own_example():
    left, right = left_and_right()
    a, b = torch.eye(8)[0] * 10, torch.eye(8)[1] * 10
    keys = torch.cat([queries_of(a, b), queries_of(b, a)])
    record = FusionRecord(queries=[queries_of(a, b)], keys=[keys])
    indices, masks = torch.tensor([0, 0]), torch.stack([left, left])[:, None]
    loss, share = example_alignment_loss(record, HEAD_DIM, [SHAPE], masks, indices, torch.stack([left, right]))
    assert loss < 1e-3 and share == 1
    loss, share = example_alignment_loss(record, HEAD_DIM, [SHAPE], masks, indices, torch.stack([right, left]))
    assert loss > 10 and share == 0


def test_the_record_ends_with_its_block():
    fusion = nn.Module()
    fusion.q_proj, fusion.k_proj = nn.Linear(3, 3), nn.Linear(3, 3)
    with recorded_fusion(fusion) as record:
        fusion.k_proj(torch.ones(1, 3))
        fusion.q_proj(torch.ones(1, 3))
    fusion.q_proj(torch.ones(1, 3))
    assert len(record.queries) == 1 and len(record.keys) == 1
