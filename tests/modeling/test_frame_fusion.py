"""Fusion with shared frames computes what fusion with projected references computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from noise import OPERATION, SCORES, assert_same
from transformers_uniref.modeling import frame_fusion
from transformers_uniref.modeling.configuration_uniref import UniRefConfig
from transformers_uniref.modeling.deformable_transformer import feed_forward
from transformers_uniref.modeling.frame_fusion import share_frames
from transformers_uniref.modeling.fusion import UniFusion
from transformers_uniref.modeling.matrix_products import apply_linear, rows_times
from transformers_uniref.modeling.references import References, ReferenceTokens, VisualFeatures
from transformers_uniref.modeling.video.references import ReferenceSlot, join_slots

CHANNELS, SHAPES = 32, [(6, 7), (3, 4), (2, 2), (1, 1)]


def fusion(head_dim: int = 32) -> UniFusion:
    torch.manual_seed(0)
    config = UniRefConfig(use_language_references=False, d_model=CHANNELS, fusion_heads=2, fusion_head_dim=head_dim)
    module = UniFusion(config).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) / parameter.shape[-1] ** 0.5)
    return module


def features() -> VisualFeatures:
    levels = [torch.randn(1, CHANNELS, *shape) for shape in SHAPES]
    masks = [torch.ones(1, *shape, dtype=torch.bool) for shape in SHAPES]
    return VisualFeatures(levels[0], levels, masks, levels, torch.zeros(1, 3, 32, 32), masks[0], False)


def slot(frame_idx: int, value_seed: int) -> ReferenceSlot:
    """What an object keeps of a frame: keys and condition belong to the frame, values to the object."""
    made = ReferenceSlot(features(), torch.float32)
    keys, values = torch.Generator().manual_seed(frame_idx), torch.Generator().manual_seed(100 + value_seed)
    levels = []
    for height, width in SHAPES:
        size = (1, height * width, CHANNELS)
        levels.append(
            ReferenceTokens(
                3 * torch.randn(size, generator=keys),
                torch.randn(size, generator=values),
                None,
                torch.randn(1, CHANNELS, generator=keys),
            )
        )
    made.write(References("mask", levels), 0, frame_idx)
    return made


def both_ways(module: UniFusion, rows: list[list[ReferenceSlot]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per level: as the session does it on a CPU, and from projected references."""
    torch.manual_seed(1)
    image = features()
    with torch.no_grad():
        shared, folded, projected = share_frames(rows), module.fold_projections(), module.project(join_slots(rows))
        sources = [level.flatten(2).transpose(1, 2) for level in image.levels]
        return [
            (module.attend_to_frames(source, shared, folded, level), module(source, projected.levels[level]))
            for level, source in enumerate(sources)
        ]


ROWS = {
    "one object, one frame": [[(0, 0)]],
    "one object, two frames": [[(0, 0), (4, 1)]],
    "three objects, same frames": [[(0, 0), (4, 1)], [(0, 2), (4, 3)], [(0, 4), (4, 5)]],
    "objects of different frames": [[(0, 0), (4, 1)], [(2, 2)], [(2, 3), (4, 4)], [(0, 5), (3, 6)]],
}


@pytest.mark.parametrize("head_dim", [32, 48])
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_shared_frames_give_what_projected_references_give(
    rows: list[list[tuple[int, int]]], head_dim: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_fusion, "_MAP_BYTES", 1)  # 16 tokens at a time
    for ours, expected in both_ways(fusion(head_dim), [[slot(*numbers) for numbers in row] for row in rows]):
        assert_same(ours, expected, SCORES)


def test_scores_far_apart_stay_finite() -> None:
    module = fusion()
    with torch.no_grad():
        module.q_proj.weight.mul_(300)
    for ours, expected in both_ways(module, [[slot(0, 0), slot(4, 1)], [slot(0, 2), slot(5, 3)]]):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, expected, atol=1e-3, rtol=1e-3)


def test_bfloat16_is_close() -> None:
    module = fusion()
    module.config.fusion_bf16 = True
    rows = [[slot(0, 0), slot(4, 1)], [slot(0, 2), slot(4, 3)]]
    rounded = both_ways(module, rows)
    module.config.fusion_bf16 = False
    for (ours, _), (_, expected) in zip(rounded, both_ways(module, rows), strict=True):
        assert ours.dtype == torch.float32
        assert (ours - expected).abs().mean() < 0.02 * expected.abs().mean()


def test_float16_has_room_for_the_sums() -> None:
    module, rows = fusion(), [[slot(0, 0), slot(4, 1)]]
    exact = both_ways(module, rows)
    with torch.autocast("cpu", torch.float16):
        rounded = both_ways(module, rows)
    for (ours, _), (_, expected) in zip(rounded, exact, strict=True):
        assert (ours - expected).abs().mean() < 0.01 * expected.abs().mean()


def test_only_plain_projections_with_wide_heads_are_folded_and_only_without_gradients() -> None:
    class Adapted(nn.Linear):
        pass

    module = fusion()
    assert not module.can_share_frames()
    with torch.no_grad():
        assert module.can_share_frames()
        assert not fusion(head_dim=16).can_share_frames()
        assert not module.train().can_share_frames()
        module.eval().v_proj = Adapted(CHANNELS, 64)
        assert not module.can_share_frames()


def test_fast_products_are_linear_layers_and_leave_other_layers_alone() -> None:
    linear, x = nn.Linear(8, 5), torch.randn(3, 4, 8)
    with torch.no_grad():
        assert_same(rows_times(x, linear.weight, linear.bias), linear(x), OPERATION)
        assert_same(apply_linear(linear, x), linear(x), OPERATION)
        hooked = []
        linear.register_forward_hook(lambda *_: hooked.append(True))
        apply_linear(linear, x)
        assert hooked
    assert apply_linear(nn.Linear(8, 5), x).requires_grad


def test_feed_forward_in_parts_is_feed_forward() -> None:
    first, second, x = nn.Linear(8, 16), nn.Linear(16, 8), torch.randn(3, 700, 8)
    with torch.no_grad():
        assert_same(feed_forward(x, first, second), second(first(x).relu()), OPERATION)
