"""The video session: what it computes, what it keeps, and what it refuses."""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from noise import SCORE, assert_same_clip, assert_same_probabilities
from transformers_uniref.modeling.video.merging import merge_masks
from transformers_uniref.modeling.video.session import UniRefVideoSession, VideoOutput
from transformers_uniref.modeling.video.state import restore_session, session_state
from video_support import (
    HEIGHT,
    SENTENCES,
    WIDTH,
    add_mask,
    add_text,
    clip,
    disc,
    image_processor,
    offline,
    stream,
    tiny_model,
)

FRAMES = 5
NO_GATES = {"vos_score_threshold": None, "rvos_score_threshold": None}


def every_kind(session: UniRefVideoSession) -> UniRefVideoSession:
    """Objects by mask, by mask later, by sentence, and by both."""
    add_mask(session, 1)
    add_mask(session, 2, frame=2)
    add_text(session, 3, frame=1)
    add_text(session, 4, sentence=1)
    add_mask(session, 4, frame=3)
    return session


def propagate(session: UniRefVideoSession, **options: object) -> list[VideoOutput]:
    return list(tiny_model().propagate_in_video_iterator(session, **options))


def feed(session: UniRefVideoSession, frames: Iterable[np.ndarray]) -> list[VideoOutput]:
    return [tiny_model()(inference_session=session, frame=frame) for frame in frames]


@pytest.fixture(scope="module")
def reference_run() -> list[VideoOutput]:
    return propagate(every_kind(offline(FRAMES, **NO_GATES)))


# ------------------------------------------------------------------------------------------------------------- schedule
def test_an_output_names_its_objects_and_has_their_masks_at_video_size(reference_run: list[VideoOutput]) -> None:
    assert [out.frame_idx for out in reference_run] == list(range(FRAMES))
    assert [out.object_ids for out in reference_run] == [[1, 4], [1, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]]
    for out in reference_run:
        count = len(out.object_ids)
        assert out.pred_masks.shape == (count, HEIGHT, WIDTH) and out.object_scores.shape == (count,)
        assert out.pred_masks.dtype == torch.float32
        assert out.pred_masks.min() >= 0 and out.pred_masks.max() <= 1


def test_streaming_equals_offline(reference_run: list[VideoOutput]) -> None:
    assert_same_clip(feed(every_kind(stream(**NO_GATES)), clip(FRAMES)), reference_run)


@pytest.mark.parametrize("size", [1, 2])
def test_objects_in_chunks_equal_objects_in_one_batch(size: int, reference_run: list[VideoOutput]) -> None:
    assert_same_clip(propagate(every_kind(offline(FRAMES, object_chunk_size=size, **NO_GATES))), reference_run)


def test_work_of_a_frame_is_shared_between_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    calls: dict[str, list[int]] = {"image": [], "transformer": [], "masks": [], "examples": []}

    def counting(name: str, function: Callable, size: Callable) -> Callable:
        def wrapper(*args: object, **kwargs: object) -> object:
            result = function(*args, **kwargs)
            calls[name].append(size(result))
            return result

        return wrapper

    monkeypatch.setattr(model, "encode_image", counting("image", model.encode_image, lambda f: len(f.pixel_values)))
    monkeypatch.setattr(
        model, "run_transformer", counting("transformer", model.run_transformer, lambda t: len(t.queries[-1]))
    )
    monkeypatch.setattr(model.mask_head, "masks", counting("masks", model.mask_head.masks, lambda m: m.shape[1]))
    monkeypatch.setattr(
        model, "encode_mask_references", counting("examples", model.encode_mask_references, lambda r: 1)
    )
    session = stream(**NO_GATES)
    add_mask(session, 1)
    add_mask(session, 2)
    add_mask(session, 3)
    add_text(session, 4)
    feed(session, clip(3))
    assert calls["image"] == [1, 1, 1]
    # First frame: three by their masks, one by its sentence. Then the sentence has found a mask as well.
    assert calls["transformer"] == [3, 1, 3, 1, 3, 1]
    assert set(calls["masks"]) == {1}
    assert len(calls["examples"]) == 4  # the given masks, and once a frame what was seen


# ------------------------------------------------------------------------------------------------------- released rules
def single_frame(frame: np.ndarray, **references: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Score and probabilities of one object in a picture, by the model's image forward."""
    inputs = image_processor()(frame)
    sentence = "reference_masks" not in references
    with torch.no_grad():
        output = tiny_model()(**inputs, **references, full_resolution_masks=not sentence)
    logits = output.pred_masks
    if sentence:
        logits = F.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)
    height, width = output.image_sizes[0].tolist()
    probabilities = F.interpolate(logits.sigmoid()[..., :height, :width], size=(HEIGHT, WIDTH), mode="bilinear")
    return output.logits.sigmoid().amax(), probabilities[0, 0]


def examples(frames: list[np.ndarray], masks: list[torch.Tensor], modes: list[str]) -> dict[str, torch.Tensor]:
    made = image_processor()(frames)
    values, valid = made["pixel_values"], made["pixel_mask"]
    padded = torch.zeros(valid.shape)
    for index, (mask, mode) in enumerate(zip(masks, modes, strict=True)):
        size = (int(valid[index, :, 0].sum()), int(valid[index, 0].sum()))
        padded[index, : size[0], : size[1]] = F.interpolate(mask[None, None].float(), size=size, mode=mode)[0, 0]
    return {
        "reference_pixel_values": values[None],
        "reference_pixel_mask": valid[None],
        "reference_masks": padded[None],
    }


def test_mask_references_are_the_given_frame_and_the_latest_seen_one() -> None:
    frames, given = clip(3), torch.from_numpy(disc(0, 1))
    first = examples(frames[:1], [given], ["nearest-exact"])
    session = offline(3, vos_score_threshold=None)
    add_mask(session, 1)
    outputs = propagate(session)

    assert torch.equal(outputs[0].pred_masks[0], given.float())  # where it is given, the result is what was given
    assert_same_probabilities(outputs[0].object_scores[0], single_frame(frames[0], **first)[0], SCORE)
    score, expected = single_frame(frames[1], **first)
    assert_same_probabilities(outputs[1].pred_masks[0], expected)
    assert_same_probabilities(outputs[1].object_scores[0], score, SCORE)
    seen = outputs[1].pred_masks[0] > 0.5  # not `expected`: at one half they need not agree
    both = examples(frames[:2], [given, seen], ["nearest-exact", "nearest"])
    assert_same_probabilities(outputs[2].pred_masks[0], single_frame(frames[2], **both)[1])


def test_reference_choice_first_and_previous() -> None:
    frames, given = clip(3), torch.from_numpy(disc(0, 1))
    session = offline(3, references="first", vos_score_threshold=None)
    add_mask(session, 1)
    first = examples(frames[:1], [given], ["nearest-exact"])
    assert_same_probabilities(propagate(session)[2].pred_masks[0], single_frame(frames[2], **first)[1])
    session = offline(3, references="previous", vos_score_threshold=None)
    add_mask(session, 1)
    outputs = propagate(session)
    previous = examples(frames[1:2], [outputs[1].pred_masks[0] > 0.5], ["nearest"])
    assert_same_probabilities(outputs[2].pred_masks[0], single_frame(frames[2], **previous)[1])


def test_sentence_alone_looks_at_every_frame_anew_without_propagation() -> None:
    session = offline(3, propagate_text=False, rvos_score_threshold=None)
    add_text(session, 7)
    ids = torch.tensor([SENTENCES[0]])
    for frame, out in zip(clip(3), propagate(session), strict=True):
        score, expected = single_frame(frame, input_ids=ids)
        assert_same_probabilities(out.pred_masks[0], expected)
        assert_same_probabilities(out.object_scores[0], score, SCORE)


def test_a_model_with_full_resolution_masks_has_them_for_sentences_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_model().config, "full_resolution_masks", True)
    session = offline(1, propagate_text=False, rvos_score_threshold=None)
    add_text(session, 7)
    with torch.no_grad():
        output = tiny_model()(**image_processor()(clip(1)[0]), input_ids=torch.tensor([SENTENCES[0]]))
    height, width = output.image_sizes[0].tolist()
    expected = F.interpolate(output.pred_masks.sigmoid()[..., :height, :width], size=(HEIGHT, WIDTH), mode="bilinear")[
        0, 0
    ]
    assert_same_probabilities(propagate(session)[0].pred_masks[0], expected)


def test_sentence_is_joined_by_its_own_mask_once_that_is_found() -> None:
    alone, joined = offline(3, propagate_text=False, **NO_GATES), offline(3, **NO_GATES)
    add_text(alone, 1)
    add_text(joined, 1)
    expected, actual = propagate(alone), propagate(joined)
    assert_same_clip(actual[:1], expected[:1])
    assert (actual[1].pred_masks - expected[1].pred_masks).abs().max() > 0.01


def test_objects_by_masks_compete_for_pixels_and_sentences_do_not() -> None:
    masks, texts = offline(2, **NO_GATES), offline(2, **NO_GATES)
    for obj_id in (1, 2):
        add_mask(masks, obj_id)
        add_text(texts, obj_id, sentence=obj_id - 1)
    out = propagate(masks)[-1]
    assert torch.equal(torch.stack(list(masks.last_masks.values())), out.object_masks)
    assert torch.equal(out.object_masks, merge_masks(out.pred_masks))
    assert not (masks.last_masks[1] & masks.last_masks[2]).any()
    out = propagate(texts)[-1]
    assert torch.equal(torch.stack(list(texts.last_masks.values())), out.pred_masks > 0.5)


def test_merging_gives_each_pixel_to_the_largest_channel() -> None:
    #                     sure     weak     both weak     both at 0.5    tie of objects   nothing
    first = torch.tensor([[0.9, 0.4, 0.45, 0.5, 0.8, 0.0]])
    second = torch.tensor([[0.2, 0.1, 0.40, 0.5, 0.8, 0.0]])
    # background:          0.08     0.54     0.33          0.25           0.04             1
    masks = merge_masks(torch.stack([first, second]))
    assert masks.int().tolist() == [[[1, 0, 1, 1, 1, 0]], [[0, 0, 0, 0, 0, 0]]]
    masks = merge_masks(torch.stack([second, first]))
    assert masks.int().tolist() == [[[0, 0, 0, 1, 1, 0]], [[1, 0, 1, 0, 0, 0]]]


def test_one_object_alone_needs_more_than_one_half() -> None:
    assert merge_masks(torch.tensor([[[0.49, 0.5, 0.51]]])).tolist() == [[[False, False, True]]]


@given(st.integers(1, 6), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_merging_is_the_argmax_over_all_channels(count: int, seed: int) -> None:
    p = torch.rand(count, 4, 5, generator=torch.Generator().manual_seed(seed))
    channels = torch.cat([(1 - p).prod(0, keepdim=True), p])
    assert torch.equal(merge_masks(p), channels.argmax(0) == torch.arange(1, count + 1)[:, None, None])


def test_score_gate_empties_the_mask_but_not_where_it_was_given() -> None:
    closed = {"vos_score_threshold": 1.0, "rvos_score_threshold": 1.0}
    session = every_kind(offline(4, **closed))
    outputs = propagate(session)
    for out in outputs:
        for row, obj_id in enumerate(out.object_ids):
            is_given = (obj_id, out.frame_idx) in {(1, 0), (2, 2), (4, 3)}
            assert bool(out.pred_masks[row].any()) == is_given
            assert out.object_scores[row] > 0


def test_an_object_out_of_sight_keeps_its_latest_reference() -> None:
    """Behind a closed gate nothing is learned, so that a look later is as if nothing had happened between."""
    model = tiny_model()
    session = stream(vos_score_threshold=None)
    add_mask(session, 1)
    frames = clip(5)
    feed(session, frames[:1])
    session.vos_score_threshold = 1.0
    feed(session, frames[1:4])
    session.vos_score_threshold = None
    late = model(inference_session=session, frame=frames[4])
    first = examples(frames[:1], [torch.from_numpy(disc(0, 1))], ["nearest-exact"])
    assert_same_probabilities(late.pred_masks[0], single_frame(frames[4], **first)[1])


# ------------------------------------------------------------------------------------------------------------- prompts
def test_frames_before_the_first_annotation_have_no_objects() -> None:
    session = offline(4)
    add_mask(session, 3, frame=2)
    outputs = propagate(session)
    assert [out.object_ids for out in outputs] == [[], [], [3], [3]]
    assert outputs[0].pred_masks.shape == (0, HEIGHT, WIDTH)


def test_a_mask_given_again_replaces_what_was_remembered() -> None:
    corrected, late = offline(5, vos_score_threshold=None), offline(5, vos_score_threshold=None)
    add_mask(corrected, 1)
    add_mask(corrected, 1, frame=3)
    add_mask(late, 1, frame=3)
    assert_same_clip(propagate(corrected)[3:], propagate(late)[3:])


def test_a_new_sentence_replaces_the_old_one_and_what_it_found() -> None:
    changed, fresh = offline(4, **NO_GATES), offline(4, **NO_GATES)
    add_text(changed, 1)
    add_text(changed, 1, frame=2, sentence=1)
    add_text(fresh, 1, frame=2, sentence=1)
    assert_same_clip(propagate(changed)[2:], propagate(fresh)[2:])


def test_a_sentence_for_an_object_with_a_mask_joins_it() -> None:
    session, alone = stream(**NO_GATES), stream(**NO_GATES)
    for each in (session, alone):
        add_mask(each, 1)
        feed(each, clip(1))
    session.add_text(0, 1, torch.tensor(SENTENCES[0]))  # its frame has passed: from the next one on
    both, mask = feed(session, clip(3)[1:2])[0], feed(alone, clip(3)[1:2])[0]
    assert both.object_ids == [1]
    assert (both.pred_masks - mask.pred_masks).abs().max() > 0.01


def test_objects_come_and_go_while_the_video_runs() -> None:
    session = offline(6)
    add_mask(session, 1)
    ids = []
    for out in tiny_model().propagate_in_video_iterator(session):
        ids.append(out.object_ids)
        if out.frame_idx == 1:
            add_mask(session, 2, frame=3)
        if out.frame_idx == 3:
            session.remove_object(1)
    assert ids == [[1], [1], [1], [1, 2], [2], [2]]
    assert session.object_ids == [2]


def test_reset_forgets_everything() -> None:
    session = every_kind(stream())
    feed(session, clip(2))
    session.reset()
    assert session.object_ids == [] and session.num_bytes() == 0
    assert session.next_frame_idx == 0 and session.video_size is None
    other_size = tiny_model()(inference_session=session, frame=np.zeros((50, 70, 3), np.uint8))
    assert other_size.pred_masks.shape == (0, 50, 70)


# --------------------------------------------------------------------------------------------------- where it goes from
def test_reverse_is_forward_through_the_reversed_clip() -> None:
    backward = offline(4, vos_score_threshold=None)
    add_mask(backward, 1, frame=3)
    add_mask(backward, 2, frame=1)
    mirrored = UniRefVideoSession(clip(4)[::-1], image_processor(), vos_score_threshold=None)
    mirrored.add_mask(0, 1, disc(3, 1))
    mirrored.add_mask(2, 2, disc(1, 2))
    outputs = propagate(backward, reverse=True)
    assert [out.frame_idx for out in outputs] == [3, 2, 1, 0]
    assert_same_clip(outputs, propagate(mirrored))


def test_going_on_equals_going_through(reference_run: list[VideoOutput]) -> None:
    session = every_kind(offline(FRAMES, **NO_GATES))
    parts = propagate(session, max_frames=np.int64(2)) + propagate(session, start_frame_idx=np.int64(2))
    assert_same_clip(parts, reference_run)
    assert_same_clip(propagate(session), reference_run)  # from the start: as if nothing had been before


def test_starting_in_the_middle_takes_the_last_given_mask_as_reference() -> None:
    session = offline(5, vos_score_threshold=None)
    add_mask(session, 1)
    out = propagate(session, start_frame_idx=4)[0]
    first = examples(clip(1), [torch.from_numpy(disc(0, 1))], ["nearest-exact"])
    assert_same_probabilities(out.pred_masks[0], single_frame(clip(5)[4], **first)[1])


def test_a_prompt_for_a_passed_frame_of_a_clip_counts_when_it_is_gone_through_again() -> None:
    session, expected = offline(4, vos_score_threshold=None), offline(4, vos_score_threshold=None)
    add_mask(session, 1)
    propagate(session, max_frames=3)
    for each in (session, expected):
        add_mask(each, 2, frame=1)
    add_mask(expected, 1)
    assert_same_clip(propagate(session, start_frame_idx=3), propagate(expected, start_frame_idx=3))


def test_the_mask_threshold_shifts_what_is_found_and_what_is_remembered() -> None:
    network_size = {"output_size": (48, 72), "vos_score_threshold": None}  # nothing is resized
    plain, lower = offline(3, **network_size), offline(3, mask_threshold=0.2, **network_size)
    assert plain.mask_threshold == 0.5 and plain.mask_shift == 0
    for session in (plain, lower):
        add_mask(session, 1)
    shifts = [
        after.pred_masks.logit() - before.pred_masks.logit()
        for before, after in zip(propagate(plain), propagate(lower), strict=True)
    ]
    to_a_half = math.log(0.8 / 0.2)  # what makes a half of a probability of 0.2
    torch.testing.assert_close(shifts[1], torch.full_like(shifts[1], to_a_half), atol=1e-3, rtol=0)
    assert (shifts[2] - to_a_half).abs().max() > 0.01  # its reference, frame 1, was another one


def test_a_lower_mask_threshold_finds_more_pixels_and_a_higher_one_fewer() -> None:
    found = []
    for threshold in (0.2, 0.5, 0.8):
        session = offline(2, mask_threshold=threshold, vos_score_threshold=None)
        add_mask(session, 1)
        found.append(int((propagate(session)[1].pred_masks > 0.5).sum()))
    assert found[0] > found[1] > found[2]


# --------------------------------------------------------------------------------------------------------------- memory
def living_tensor_bytes() -> int:
    gc.collect()
    storages = {}
    for item in gc.get_objects():
        if type(item) in (torch.Tensor, torch.nn.Parameter):
            storages[item.untyped_storage().data_ptr()] = item.untyped_storage().nbytes()
    return sum(storages.values())


def test_a_thousand_frames_leave_no_more_than_ten() -> None:
    session, model, pictures = stream(vos_score_threshold=0.5), tiny_model(), clip(6)
    add_mask(session, 1)
    counts, living = {}, {}
    for index in range(1000):
        model(inference_session=session, frame=pictures[index % 6])
        if index + 1 in (10, 1000):
            counts[index + 1], living[index + 1] = session.num_bytes(), living_tensor_bytes()
    assert 0 < counts[1000] <= counts[10]
    assert living[1000] <= living[10]  # nor did anything stay alive outside the session


def test_memory_does_not_depend_on_what_is_seen() -> None:
    session = every_kind(stream(vos_score_threshold=0.5, rvos_score_threshold=0.6))  # lost and found again
    kept = []
    for picture in clip(6) * 2:
        tiny_model()(inference_session=session, frame=picture)
        kept.append(session.num_bytes())
    assert len(set(kept[3:])) == 1


def test_bytes_are_counted_once_and_freed_with_the_object() -> None:
    session = stream()
    add_mask(session, 1)
    waiting = session.num_bytes()
    assert waiting == HEIGHT * WIDTH
    feed(session, clip(1))
    one = session.num_bytes()
    add_mask(session, 2, frame=1)
    feed(session, clip(2)[1:])
    assert session.num_bytes() == 2 * one
    session.remove_object(1)
    assert session.num_bytes() == one


# ---------------------------------------------------------------------------------------------------- frames, precision
def test_frames_may_come_as_pixel_values() -> None:
    pictures, ready, tensors = (stream(vos_score_threshold=None, output_size=(HEIGHT, WIDTH)) for _ in range(3))
    for session in (pictures, ready, tensors):
        size = (HEIGHT, WIDTH) if session is pictures else (48, 72)
        session.add_mask(0, 1, F.interpolate(torch.ones(1, 1, 8, 8), size=size)[0, 0].bool())
    made = [image_processor()(frame) for frame in clip(2)]
    expected = feed(pictures, clip(2))
    assert made[0]["pixel_values"].shape[-2:] == (64, 96)  # padded
    assert_same_clip(feed(ready, made), expected)
    assert_same_clip(feed(tensors, [frame["pixel_values"][0, :, :48, :72] for frame in made]), expected)


def test_results_may_have_another_size_than_the_video() -> None:
    session = offline(2, output_size=(30, 45))
    add_mask(session, 1)
    assert [out.pred_masks.shape for out in propagate(session)] == [(1, 30, 45)] * 2
    assert session.video_size == (HEIGHT, WIDTH) and session.output_size == (30, 45)


def test_a_small_frame_grows_no_further_than_the_image_processor_allows() -> None:
    frame = clip(1)[0]
    for limit, expected in (
        (None, (200, 300)),
        ({"shortest_edge": 64}, (64, 96)),
        ({"shortest_edge": 8}, (HEIGHT, WIDTH)),
    ):
        session = UniRefVideoSession(image_processor=image_processor())
        session.image_processor.video_size = {"shortest_edge": 200}
        session.image_processor.enlarged_to = limit
        assert session.prepare_frame(frame).network_size == expected


def test_bfloat16_is_one_switch_and_stays_close() -> None:
    half, full = (stream(dtype=dtype, **NO_GATES) for dtype in (torch.bfloat16, torch.float32))
    outputs = []
    for session in (half, full):
        add_mask(session, 1)
        add_text(session, 2)
        outputs.append(feed(session, clip(2)))
    for ours, exact in zip(*outputs, strict=True):
        assert ours.pred_masks.dtype == torch.float32 and ours.pred_masks.isfinite().all()
        torch.testing.assert_close(ours.object_scores, exact.object_scores, atol=0.05, rtol=0)
    assert half.num_bytes() < 0.7 * full.num_bytes()


def test_a_model_in_training_mode_follows_as_in_evaluation_and_stays_in_training() -> None:
    model, sessions = tiny_model(), [stream(**NO_GATES), stream(**NO_GATES)]
    for session in sessions:
        add_mask(session, 1)
        add_text(session, 2)
    expected = feed(sessions[0], clip(2))
    model.train()
    model.language_encoder.eval()
    try:
        assert_same_clip(feed(sessions[1], clip(2)), expected)
        assert model.training and model.mask_encoder.training and not model.language_encoder.training
    finally:
        model.eval()


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda s: s.add_mask(0, 0, disc(0, 1)), ValueError, "`obj_id` must be 1 or more"),
        (lambda s: s.add_mask(0, -2, disc(0, 1)), ValueError, "`obj_id` must be 1 or more"),
        (lambda s: s.add_mask(0, "a", disc(0, 1)), TypeError, "`obj_id` must be an integer"),
        (lambda s: s.add_mask(0, True, disc(0, 1)), TypeError, "`obj_id` must be an integer"),
        (lambda s: s.add_mask(4, 1, disc(0, 1)), ValueError, "`frame_idx` must be from 0 to 3, got 4"),
        (lambda s: s.add_mask(-1, 1, disc(0, 1)), ValueError, "`frame_idx` must be from 0 to 3, got -1"),
        (lambda s: s.add_mask(0.5, 1, disc(0, 1)), TypeError, "`frame_idx` must be an integer"),
        (lambda s: s.add_mask(0, 1, disc(0, 1)[:40]), ValueError, r"\(60, 90\), got \(40, 90\)"),
        (lambda s: s.add_mask(0, 1, disc(0, 1)[None].repeat(2, 0)), ValueError, "`mask` must be two-dim"),
        (lambda s: s.add_mask(0, 1, disc(0, 1) & False), ValueError, "a single pixel of the object"),
        (lambda s: s.add_mask(0, 1, disc(0, 1) + 2 * disc(0, 2)), ValueError, "0 and one other value"),
        (lambda s: s.add_mask(0, 1, disc(0, 1) * 0.5), ValueError, "neither near 0 nor near 1"),
        (lambda s: s.add_text(0, 0, torch.tensor([[2, 3]])), ValueError, "`obj_id` must be 1 or more"),
        (lambda s: s.add_text(9, 1, torch.tensor([[2, 3]])), ValueError, "`frame_idx` must be from 0 to 3"),
        (lambda s: s.add_text(0, 1, torch.tensor([[2, 3], [2, 4]])), ValueError, "`input_ids` must be one sentence"),
        (lambda s: s.add_text(0, 1, torch.tensor([[2.0, 3.0]])), ValueError, "`input_ids` must be one sentence"),
        (lambda s: s.add_text(0, 1, torch.tensor([[2, 3]]), torch.zeros(1, 2)), ValueError, "`attention_mask`"),
        (lambda s: s.remove_object(5), ValueError, "`obj_id` 5 is unknown; the session's objects are: none"),
        (lambda s: propagate(s, start_frame_idx=4), ValueError, "`start_frame_idx` must be from 0 to 3, got 4"),
        (lambda s: propagate(s, max_frames=0), ValueError, "`max_frames` must be 1 or more"),
        (lambda s: tiny_model()(inference_session=s, frame=clip(1)[0]), ValueError, "has its own"),
    ],
)
def test_bad_calls_are_named_and_change_nothing(
    call: Callable[[UniRefVideoSession], object], error: type[Exception], message: str
) -> None:
    session = offline(4)
    with pytest.raises(error, match=message):
        call(session)
    assert session.object_ids == [] and session.num_bytes() == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vos_score_threshold": 1.5}, "`vos_score_threshold` must be between 0 and 1"),
        ({"rvos_score_threshold": -1}, "`rvos_score_threshold`"),
        ({"mask_threshold": 0.0}, "`mask_threshold` must be between 0 and 1, both left out; got 0.0"),
        ({"mask_threshold": 1}, "`mask_threshold`"),
        ({"references": "last"}, "`references` must be one of both, first, previous"),
        ({"object_chunk_size": 0}, "`object_chunk_size` must be 1 or more"),
        ({"dtype": torch.int8}, "`dtype` must be"),
        ({"output_size": (0, 5)}, "`output_size`"),
        ({"video": []}, "`video` has no frames"),
        ({"video": clip(1), "image_processor": None}, "`image_processor` is missing"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UniRefVideoSession(**{"video": None, "image_processor": image_processor(), **options})


def test_a_session_for_streams_is_not_iterated_and_wants_frames() -> None:
    with pytest.raises(ValueError, match="`inference_session` is a stream"):
        tiny_model().propagate_in_video_iterator(stream())
    with pytest.raises(ValueError, match="`frame` is missing"):
        tiny_model()(inference_session=stream())
    with pytest.raises(TypeError, match="must be a UniRefVideoSession"):
        tiny_model()(inference_session="clip.mp4", frame=clip(1)[0])
    with pytest.raises(ValueError, match="`inference_device` of the session is meta"):
        tiny_model()(inference_session=stream(inference_device="meta"), frame=clip(1)[0])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((61, 90, 3), np.uint8), "must have the size of the frames before it"),
        (np.full((60, 90, 3), np.nan), "NaN"),
        (torch.full((3, 64, 96), torch.nan), "NaN"),
        (torch.zeros(2, 3, 64, 96), "must have shape"),
        ({"pixel_mask": torch.ones(1, 64, 96)}, "must hold `pixel_values`"),
        ({"pixel_values": torch.zeros(1, 3, 64, 96), "pixel_mask": torch.ones(1, 60, 90)}, "pixel_mask"),
        (np.zeros((60, 90, 2), np.uint8), "C = 1, 3 or 4"),
    ],
)
def test_after_a_bad_frame_the_stream_goes_on_as_if_it_had_not_come(frame: object, message: str) -> None:
    session = stream(vos_score_threshold=None)
    add_mask(session, 1)
    feed(session, clip(1))
    before = session.num_bytes()
    with pytest.raises(ValueError, match=message):
        tiny_model()(inference_session=session, frame=frame)
    assert session.next_frame_idx == 1 and session.num_bytes() == before
    assert session.video_size == (HEIGHT, WIDTH)


def test_an_error_in_the_middle_of_a_frame_leaves_the_memory_as_it_was(
    monkeypatch: pytest.MonkeyPatch, reference_run: list[VideoOutput]
) -> None:
    session, model = every_kind(stream(**NO_GATES)), tiny_model()
    feed(session, clip(FRAMES)[:3])

    def fail(*args: object) -> None:
        raise RuntimeError("out of memory")

    for name in ("encode_mask_references", "run_transformer"):
        with monkeypatch.context() as patch, pytest.raises(RuntimeError):
            patch.setattr(model, name, fail)
            feed(session, clip(FRAMES)[3:4])
    assert_same_clip(feed(session, clip(FRAMES)[3:]), reference_run[3:])


def test_a_waiting_mask_is_checked_when_its_frame_comes() -> None:
    session = stream()
    session.add_mask(0, 1, disc(0, 1)[:, :89])
    with pytest.warns(UserWarning, match="resized"):
        assert feed(session, clip(1))[0].object_ids == [1]
    session = stream()
    session.add_mask(0, 1, disc(0, 1)[:40])
    with pytest.raises(ValueError, match="must have the frame's size"):
        feed(session, clip(1))
    assert session.next_frame_idx == 0
    session.add_mask(0, 1, disc(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert feed(session, clip(1))[0].object_ids == [1]


def test_a_mask_for_a_frame_that_a_stream_has_passed_is_refused() -> None:
    session = stream()
    feed(session, clip(2))
    with pytest.raises(ValueError, match="`frame_idx` 1 has passed"):
        add_mask(session, 1, frame=1)
    add_mask(session, 1, frame=2)
    assert session.object_ids == [1]


def test_a_clip_whose_frames_change_size_fails_at_that_frame() -> None:
    frames = [*clip(2), np.zeros((60, 80, 3), np.uint8)]
    session = UniRefVideoSession(frames, image_processor())
    add_mask(session, 1)
    outputs = tiny_model().propagate_in_video_iterator(session)
    next(outputs)
    next(outputs)
    with pytest.raises(ValueError, match="frames of one size"):
        next(outputs)


# ----------------------------------------------------------------------------------------------------- kept in a file
def test_a_stream_goes_on_from_its_kept_state_as_if_nothing_had_been_between(tmp_path: Path) -> None:
    """With objects by mask, by sentence and by both, one of which comes after the state was kept."""

    def prompted() -> UniRefVideoSession:
        session = stream(rvos_score_threshold=None, vos_score_threshold=None)
        add_text(session, 2)
        add_text(session, 3, sentence=1)
        return session

    whole = prompted()
    add_mask(whole, 1)
    add_mask(whole, 3)
    add_mask(whole, 4)
    expected = []
    for index, frame in enumerate(clip(6)):
        if index == 3:
            torch.save(session_state(whole), tmp_path / "state.pt")
        if index == 4:
            whole.add_mask(4, 5, disc(4, 2))
        expected.append(tiny_model()(inference_session=whole, frame=frame))

    resumed = prompted()
    restore_session(resumed, torch.load(tmp_path / "state.pt", weights_only=True))
    assert resumed.next_frame_idx == 3 and resumed.object_ids == [1, 2, 3, 4]
    resumed.add_mask(4, 5, disc(4, 2))
    for frame, output in zip(clip(6)[3:], expected[3:], strict=True):
        again = tiny_model()(inference_session=resumed, frame=frame)
        assert again.frame_idx == output.frame_idx and again.object_ids == output.object_ids
        assert torch.equal(again.pred_masks, output.pred_masks)
        assert torch.equal(again.object_scores, output.object_scores)
    assert resumed.num_bytes() == whole.num_bytes()


def test_a_kept_state_is_no_part_of_the_session_that_goes_on() -> None:
    session = stream()
    add_mask(session, 1)
    frames = clip(3)
    tiny_model()(inference_session=session, frame=frames[0])
    state = session_state(session)
    before = [tensor.clone() for tensor in state["objects"][1]["slots"]["previous"]["levels"]]
    tiny_model()(inference_session=session, frame=frames[1])
    after = state["objects"][1]["slots"]["previous"]["levels"]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_state_wants_a_new_stream_with_its_sentences() -> None:
    session = stream()
    add_text(session, 2)
    tiny_model()(inference_session=session, frame=clip(1)[0])
    state = session_state(session)
    with pytest.raises(ValueError, match="must be new, it has seen 1 frames"):
        restore_session(session, state)
    with pytest.raises(ValueError, match="must have the sentence of object 2, got none"):
        restore_session(stream(), state)
    with pytest.raises(ValueError, match="must be a stream"):
        session_state(offline())
    untouched = stream()
    restore_session(untouched, session_state(stream()))
    assert untouched.next_frame_idx == 0 and untouched.object_ids == []
