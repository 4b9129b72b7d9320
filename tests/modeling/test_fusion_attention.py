"""The attention that users ask for is the softmax that the model uses, and nobody else pays for it."""

from __future__ import annotations

import pytest
import torch

import video_support
from model_support import picture, sentence, small_model
from noise import OPERATION, SCORES, assert_same, assert_same_clip, assert_same_output
from sam_support import sam_model
from transformers_uniref import UniRefModel
from transformers_uniref.modeling.fusion import UniFusion
from transformers_uniref.modeling.fusion_attention import record_fusion_attention
from transformers_uniref.modeling.video.session import VideoOutput

SIZE = 64


@pytest.fixture(scope="module")
def model() -> UniRefModel:
    return small_model()


def inputs(shots: int = 2) -> dict[str, torch.Tensor]:
    masks = torch.zeros(2, shots, SIZE, SIZE)
    masks[..., 16:48, 20:40] = 1
    attended = torch.ones(2, 6, dtype=torch.long)
    attended[1, 4:] = 0
    return {
        "pixel_values": picture(2, SIZE, SIZE, 0),
        "input_ids": sentence(2, 6, 0),
        "attention_mask": attended,
        "reference_pixel_values": picture(2 * shots, SIZE, SIZE, 1).unflatten(0, (2, shots)),
        "reference_masks": masks,
    }


@torch.no_grad()
def test_attention_has_the_documented_shape_and_sums_to_one(model):
    output = model(**inputs(), output_attentions=True)
    language, examples = output.fusion_attentions
    for level, (words, places) in enumerate(zip(language, examples, strict=True)):
        cells = (-(-SIZE // model.config.feature_strides[level])) ** 2
        heads = model.config.fusion_heads
        assert words.shape == (2, heads, cells, 6)
        assert places.shape == (2, heads, cells, 2 * cells)
        assert_same(words.sum(-1), torch.ones_like(words[..., 0]), OPERATION)
        assert_same(places.sum(-1), torch.ones_like(places[..., 0]), OPERATION)
        assert words[1, ..., 4:].abs().max() == 0


@torch.no_grad()
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_it_is_the_softmax_that_the_model_uses(model, implementation):
    kept = model.config._attn_implementation
    model.set_attn_implementation(implementation)
    seen: list[torch.Tensor] = []

    def compare(module: UniFusion, args: tuple, kwargs: dict, result: torch.Tensor) -> None:
        source, tokens, *rest = args
        weights = module.attention_weights(*args, **kwargs)
        weights = weights if tokens.kept is None else weights[..., tokens.kept]
        attended = module.out_proj(torch.matmul(weights, tokens.values).transpose(1, 2).flatten(2))
        assert_same(module._modulate(attended, tokens.condition), result, SCORES)
        seen.append(result)

    handle = model.fusion.register_forward_hook(compare, with_kwargs=True)
    try:
        model(**inputs())
    finally:
        handle.remove()
        model.set_attn_implementation(kept)
    assert len(seen) == 2 * len(model.config.feature_strides)


@torch.no_grad()
def test_asking_changes_no_result_and_leaves_no_trace(model, monkeypatch):
    plain = model(**inputs())
    asked = model(**inputs(), output_attentions=True)
    assert_same_output(asked, plain)
    assert plain.fusion_attentions is None
    assert not model.fusion._forward_pre_hooks

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("nobody asked")

    monkeypatch.setattr(UniFusion, "attention_weights", refuse)
    model(**inputs())


@torch.no_grad()
def test_padding_of_examples_is_not_attended_to_and_keeps_its_place(model):
    given = inputs(shots=1)
    frame = torch.ones(2, 1, SIZE, SIZE, dtype=torch.long)
    frame[..., 32:] = 0
    output = model(**given, reference_pixel_mask=frame, output_attentions=True)
    finest = output.fusion_attentions[1][0].unflatten(-1, (8, 8))
    assert finest[..., 4:].abs().max() == 0
    assert_same(finest.sum((-1, -2)), torch.ones_like(finest[..., 0, 0]), OPERATION)


@torch.no_grad()
def test_one_image_with_several_sentences_has_an_entry_for_each(model):
    output = model(
        pixel_values=picture(1, SIZE, SIZE, 0),
        input_ids=sentence(3, 5, 0),
        image_indices=torch.tensor([0, 0, 0]),
        output_attentions=True,
    )
    ((finest, *_),) = output.fusion_attentions
    assert finest.shape[0] == 3
    alone = model(pixel_values=picture(1, SIZE, SIZE, 0), input_ids=sentence(3, 5, 0)[1:2], output_attentions=True)
    assert_same(alone.fusion_attentions[0][0], finest[1:2], SCORES)


@torch.no_grad()
def test_a_model_that_detects_has_no_reference_to_attend_to(model):
    assert model(pixel_values=picture(1, SIZE, SIZE, 0), output_attentions=True).fusion_attentions == ()


@torch.no_grad()
def test_the_sam_variant_tells_its_attention_as_well():
    model = sam_model()
    side = model.config.vision_config.image_size
    output = model(
        pixel_values=picture(1, side, side, 0), input_ids=torch.tensor([[2, 5, 6, 7, 3]]), output_attentions=True
    )
    ((only,),) = output.fusion_attentions
    assert only.shape[-1] == 5
    assert_same(only.sum(-1), torch.ones_like(only[..., 0]), OPERATION)


@torch.no_grad()
def test_a_listener_hears_every_frame_of_a_session_and_changes_nothing():
    # Heads so wide that a session on a CPU goes around the module when nobody listens.
    model = small_model(fusion_head_dim=64)
    assert model.fusion.can_share_frames()

    def follow() -> list[VideoOutput]:
        session = video_support.offline(3)
        for number in (1, 2):
            video_support.add_mask(session, number)
        return list(model.propagate_in_video_iterator(session))

    alone = follow()
    with record_fusion_attention(model.fusion) as recorded:
        watched = follow()
    # Two objects in the two frames after the one in which they were given, at least.
    assert sum(len(weights) for weights in recorded) >= 2 * 2 * len(model.config.feature_strides)
    for weights in recorded:
        assert_same(weights.sum(-1), torch.ones_like(weights[..., 0]), OPERATION)
    assert_same_clip(watched, alone)
    assert model.fusion.can_share_frames()
