"""Scores that look at what a mask covers: what they read, what they change, and what they are taught."""

from __future__ import annotations

import pytest
import torch

from model_support import label, picture, sentence, small_config, small_model
from noise import MASKS, SCORES, assert_same
from transformers_uniref import UniRefConfig, UniRefModel
from transformers_uniref.modeling.losses.score_losses import fit_loss, fit_of_masks, mask_ious
from transformers_uniref.modeling.mask_pooled_score import MaskPooledScore


@pytest.fixture(scope="module")
def plain() -> UniRefModel:
    return small_model().eval()


@pytest.fixture(scope="module")
def pooled(plain: UniRefModel) -> UniRefModel:
    """The weights of `plain`, and a score that is no longer zero."""
    model = small_model(mask_pooled_scores=True).eval()
    given = model.load_state_dict(plain.state_dict(), strict=False)
    assert all(name.startswith("mask_pooled_score.") for name in given.missing_keys) and not given.unexpected_keys
    return model


def test_released_configurations_do_without() -> None:
    assert UniRefConfig().mask_pooled_scores is False
    assert small_model().mask_pooled_score is None


def test_a_new_one_adds_nothing(plain: UniRefModel) -> None:
    model = UniRefModel(small_config(mask_pooled_scores=True)).eval()
    assert not model.mask_pooled_score.output.weight.any() and not model.mask_pooled_score.output.bias.any()
    model.load_state_dict(plain.state_dict(), strict=False)
    inputs = {"pixel_values": picture(2, 96, 128), "input_ids": sentence(2, 6)}
    with torch.no_grad():
        assert_same(model(**inputs).logits, plain(**inputs).logits, SCORES)


def test_the_best_mask_is_that_of_the_query_with_the_best_score(plain: UniRefModel, pooled: UniRefModel) -> None:
    inputs = {"pixel_values": picture(3, 96, 128), "input_ids": sentence(3, 6)}
    with torch.no_grad():
        before, best, every = plain(**inputs), pooled(**inputs), pooled(**inputs, num_masks="all")
    assert not torch.allclose(before.logits, best.logits)
    chosen = best.logits[..., 0].argmax(1)
    assert torch.equal(best.mask_queries[:, 0], chosen)
    assert_same(best.pred_masks[:, 0], every.pred_masks[torch.arange(3), chosen], MASKS)
    # Boxes and masks are those of the model without it.
    assert_same(before.pred_boxes, best.pred_boxes, SCORES)


def test_sentences_that_share_a_picture_are_answered_as_alone(pooled: UniRefModel) -> None:
    words, image = sentence(3, 6), picture(1, 96, 128)
    with torch.no_grad():
        together = pooled(pixel_values=image, input_ids=words, image_indices=torch.zeros(3, dtype=torch.long))
        alone = torch.cat([pooled(pixel_values=image, input_ids=one[None]).logits for one in words])
    assert_same(together.logits, alone, SCORES)


def test_what_lies_outside_the_picture_is_not_pooled() -> None:
    torch.manual_seed(0)
    config = small_config(mask_pooled_scores=True)
    score = MaskPooledScore(config).eval()
    d, shapes = config.d_model, [(8, 12), (4, 6), (2, 3)]
    valid = [torch.zeros(1, h, w, dtype=torch.bool) for h, w in shapes]
    for level, (_, w) in zip(valid, shapes, strict=True):
        level[:, :, : w * 2 // 3] = True
    maps = [[torch.randn(1, d, h, w) for h, w in shapes] for _ in range(3)]
    changed = [[torch.where(v[:, None], m, m + 5) for m, v in zip(pyramid, valid, strict=True)] for pyramid in maps]
    fixed = (torch.randn(1, 4, d), torch.rand(1, 4, 4), torch.randn(1, 4, 16, 24))
    with torch.no_grad():
        one, other = (score(*fixed, pyramids, valid, [torch.ones(1, d)]) for pyramids in (maps, changed))
        inside = score(*fixed, [[m + 5 * torch.randn_like(m) for m in p] for p in maps], valid, [torch.ones(1, d)])
    assert torch.allclose(one, other, atol=1e-6)
    assert not torch.allclose(one, inside, atol=1e-3)


def test_examples_and_sentences_together_have_one_score(pooled: UniRefModel) -> None:
    inputs = {
        "pixel_values": picture(1, 96, 128),
        "input_ids": sentence(1, 6),
        "reference_pixel_values": picture(1, 96, 128, seed=1)[:, None],
        "reference_masks": (picture(1, 96, 128, seed=2)[:, :1] > 0).float(),
    }
    with torch.no_grad():
        assert torch.isfinite(pooled(**inputs).logits).all()


def test_iou_of_masks() -> None:
    masks = torch.tensor([[[1.0, 1.0, -1.0, -1.0]], [[-1.0, -1.0, -1.0, -1.0]]])
    targets = torch.tensor([[[1, 0, 0, 0]], [[0, 1, 1, 1]], [[0, 0, 0, 0]]])
    assert torch.allclose(mask_ious(masks, targets), torch.tensor([[0.5, 0.25, 0.0], [0.0, 0.0, 0.0]]))


def test_the_fit_of_a_mask_is_that_of_the_best_target_and_zero_where_nothing_is_meant() -> None:
    masks = torch.tensor([[[[1.0, 1.0, -1.0, -1.0]], [[1.0, -1.0, -1.0, -1.0]]]]).expand(2, -1, -1, -1)
    targets = [torch.tensor([[[1, 0, 0, 0]], [[0, 0, 1, 1]]]), torch.zeros(0, 1, 4)]
    assert torch.allclose(fit_of_masks(masks, targets), torch.tensor([[0.4, 1.0], [0.0, 0.0]]))


def test_the_loss_rewards_the_right_order_and_silence_about_nothing() -> None:
    fit = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    right, wrong = torch.tensor([[2.0, -2.0], [-2.0, -2.0]]), torch.tensor([[-2.0, 2.0], [-2.0, -2.0]])
    loud = torch.tensor([[2.0, -2.0], [2.0, -2.0]])
    assert fit_loss(right, fit) < fit_loss(loud, fit) < fit_loss(wrong, fit)
    nothing = fit_loss(torch.full((1, 2), -3.0), torch.zeros(1, 2))
    assert torch.isclose(nothing, torch.nn.functional.softplus(torch.tensor(-3.0)))


def test_it_is_trained_with_the_model() -> None:
    model = small_model(mask_pooled_scores=True).train()
    labels = [label(96), label(96, present=False)]
    for full in (False, True):
        output = model(
            pixel_values=picture(2, 96, 96), input_ids=sentence(2, 6), labels=labels, full_resolution_masks=full
        )
        assert output.loss_dict["loss_score"] > 0
        without = sum(model.criterion.weight_of(n) * v for n, v in output.loss_dict.items() if n != "loss_score")
        assert torch.isclose(output.loss, without + 2.0 * output.loss_dict["loss_score"], rtol=1e-5)
    output.loss_dict["loss_score"].backward()
    assert model.mask_pooled_score.region.weight.grad.abs().sum() > 0
    assert model.visual_encoder.projections[0].conv.weight.grad.abs().sum() > 0
    # What a mask is does not depend on what its score should be.
    assert all(parameter.grad is None for parameter in model.mask_head.parameters())
