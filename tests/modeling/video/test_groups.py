"""A sentence for all objects of a video: ids as objects appear, kept while they are there, ended when they are gone."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from processor_support import small_processor
from transformers_uniref.inference.clips import read_frame
from transformers_uniref.modeling.video.groups import identities
from transformers_uniref.modeling.video.session import UniRefVideoSession
from transformers_uniref.modeling.video.state import restore_session, session_state
from transformers_uniref.worlds import World
from video_support import HEIGHT, SENTENCES, WIDTH, clip, disc, offline, stream, tiny_model

NETWORK, PADDED = (48, 72), (64, 96)
Seen = dict[int, float]
"""Which of the discs a sentence finds in a frame, and with which scores."""


def add_all(session: UniRefVideoSession, frame: int = 0, **options: Any) -> None:
    session.add_text_for_all(frame, torch.tensor([SENTENCES[0]]), **options)


def as_logits(masks: list[np.ndarray]) -> torch.Tensor:
    """(n, *PADDED) of masks at the size of the video."""
    stacked = torch.from_numpy(np.stack(masks)).float()[None] if masks else torch.zeros(1, 0, HEIGHT, WIDTH)
    resized = F.interpolate(stacked, size=NETWORK, mode="bilinear")[0] if masks else stacked.new_zeros(0, *NETWORK)
    grown = F.pad(resized, (0, PADDED[1] - NETWORK[1], 0, PADDED[0] - NETWORK[0]))
    return (grown - 0.5) * 40


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Seen]], Any]:
    """Lets the model find by its sentence, frame by frame, the discs of a script."""
    model = tiny_model()

    def script(frames: list[Seen], masks: Callable[[int, int], np.ndarray] = disc) -> Any:
        waiting, follow = list(enumerate(frames)), model.segment_objects

        def segment(features: Any, references: Any, choose: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
            if choose is None:
                return follow(features, references)
            frame, seen = waiting.pop(0)
            logits = as_logits([masks(frame, number) for number in seen])
            scores = torch.tensor(list(seen.values()))
            chosen = choose(logits, scores)
            return scores[chosen], logits[chosen]

        monkeypatch.setattr(model, "segment_objects", segment)
        return model

    return script


def alone(frames: int, **options: Any) -> UniRefVideoSession:
    """A session whose objects are found by the sentence alone, not followed by their masks."""
    session = offline(frames, propagate_text=False)
    add_all(session, **options)
    return session


def followed(model: Any, session: UniRefVideoSession) -> list[dict[int, int]]:
    """For each frame the disc on which each object is, 0 where its mask is empty."""
    found = []
    for output in model.propagate_in_video_iterator(session):
        assert output.object_ids == sorted(output.object_ids) and int(output.object_masks.sum(0).max()) <= 1
        on = {}
        for obj_id, mask in zip(output.object_ids, output.object_masks, strict=True):
            overlaps = [int((mask.numpy() & disc(output.frame_idx, number)).sum()) for number in (1, 2, 3)]
            on[obj_id] = int(np.argmax(overlaps)) + 1 if mask.any() else 0
        found.append(on)
    return found


# ----------------------------------------------------------------------------------------------------------- identities
def test_objects_get_ids_as_they_appear_and_keep_them(find: Any) -> None:
    model = find([{2: 0.9, 1: 0.8}, {1: 0.9, 3: 0.7, 2: 0.6}, {3: 0.9, 2: 0.8, 1: 0.7}])
    assert followed(model, alone(3)) == [{1: 2, 2: 1}, {1: 2, 2: 1, 3: 3}, {1: 2, 2: 1, 3: 3}]


def test_nothing_is_found_where_nothing_passes_or_nothing_is_understood(find: Any) -> None:
    assert followed(find([{1: 0.2}, {}, {1: 0.9}]), alone(3)) == [{}, {}, {1: 1}]
    assert followed(find([]), alone(2, understood=False)) == [{}, {}]
    session = offline(2, propagate_text=False)
    add_all(session, frame=1)
    assert followed(find([{1: 0.9}]), session)[0] == {}


def test_an_object_that_is_gone_for_long_has_ended_and_its_id_is_not_given_again(find: Any) -> None:
    both, first = {1: 0.9, 2: 0.8}, {1: 0.9}
    model = find([both, first, both, first, first, both])
    session = alone(6, patience=1)
    found = followed(model, session)
    # Out of sight for one frame it is the same one; for two it has ended, and what returns is another.
    assert [one.get(2) for one in found] == [2, 0, 2, 0, 0, None]
    assert found[5] == {1: 1, 3: 2} and session.object_ids == [1, 3]


def test_no_more_than_max_objects_are_followed_and_an_end_makes_room(find: Any) -> None:
    every = {1: 0.9, 2: 0.8, 3: 0.7}
    assert followed(find([every] * 2), alone(2, max_objects=2)) == [{1: 1, 2: 2}] * 2
    found = followed(find([every, {1: 0.9, 3: 0.7}, every]), alone(3, max_objects=2, patience=0))
    assert found[1] == {1: 1, 2: 0} and found[2] == {1: 1, 3: 2}


def test_an_object_that_is_followed_already_gets_no_second_id(find: Any) -> None:
    session = alone(1)
    session.add_mask(0, 7, disc(0, 1))
    assert followed(find([{1: 0.9, 2: 0.8}]), session) == [{7: 1, 8: 2}]
    assert session.memory.objects[7].group is None and session.memory.objects[8].group == 0


def test_a_part_of_an_object_is_no_other_one(find: Any) -> None:
    def half(frame: int, number: int) -> np.ndarray:
        mask = disc(frame, abs(number)).copy()
        if number < 0:
            mask[: 15 + 12 * -number] = False
        return mask

    model = find([{1: 0.9}, {-1: 0.9}, {1: 0.9}], half)
    assert followed(model, alone(3)) == [{1: 1}] * 3


def test_the_best_sentence_comes_first_and_another_adds_what_it_alone_finds(find: Any) -> None:
    session = alone(1)
    add_all(session)
    model = find([{1: 0.9}, {1: 0.9, 3: 0.8}], lambda frame, number: disc(0, number))  # both are asked in one frame
    (output,) = model.propagate_in_video_iterator(session)
    assert output.object_ids == [1, 2]
    assert [session.memory.objects[number].group for number in (1, 2)] == [0, 1]


# -------------------------------------------------------------------------------------------------- following by masks
def test_masks_keep_an_object_that_the_sentence_misses_and_the_sentence_one_that_masks_lose(
    find: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = find([{1: 0.9, 2: 0.8}, {1: 0.9}, {1: 0.9, 2: 0.8}, {}])
    session = offline(4)
    add_all(session)
    follows = {1: {1: 0.9, 2: 0.9}, 2: {1: 0.9, 2: 0.1}, 3: {1: 0.9, 2: 0.9}}
    frames, find_by_sentence = iter(range(1, 4)), model.segment_objects

    def segment(features: Any, references: Any, choose: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        if choose is not None:
            return find_by_sentence(features, references, choose)
        frame = next(frames)
        scores = [follows[frame][obj_id] for obj_id in session.memory.objects]
        return torch.tensor(scores), as_logits([disc(frame, obj_id) for obj_id in session.memory.objects])

    monkeypatch.setattr(model, "segment_objects", segment)
    outputs = list(model.propagate_in_video_iterator(session))
    assert [output.object_ids for output in outputs] == [[1, 2]] * 4
    assert all(bool(output.object_masks.flatten(1).any(1).all()) for output in outputs)
    # Frame 1: the masks; frame 2: the score is the sentence's, as the masks' did not pass.
    assert [round(float(output.object_scores[1]), 2) for output in outputs] == [0.8, 0.9, 0.8, 0.9]


def test_memory_stays_bounded_however_long_the_video(find: Any) -> None:
    model = find([{1: 0.9, 2: 0.8, 3: 0.7} if frame % 3 else {1: 0.9} for frame in range(24)])
    session = stream()
    add_all(session, max_objects=3, patience=1)
    sizes = []
    for frame in clip(6) * 4:
        model(inference_session=session, frame=frame)
        assert sum(item.group is not None for item in session.memory.objects.values()) <= 3
        sizes.append(session.num_bytes())
    assert max(sizes[12:]) <= max(sizes[:12])


# ----------------------------------------------------------------------------------------------------- begin, keep, end
def test_going_through_the_clip_again_gives_the_same_ids(find: Any) -> None:
    script = [{1: 0.9}, {1: 0.9, 2: 0.8}, {2: 0.8}]
    session = alone(3)
    first = followed(find(script), session)
    assert followed(find(script), session) == first
    backwards = [output.object_ids for output in find(script).propagate_in_video_iterator(session, reverse=True)]
    assert backwards == [[1], [1, 2], [1, 2]]
    session.reset()
    assert session.object_ids == [] and followed(find([]), session) == [{}, {}, {}]


def test_a_stream_goes_on_from_its_state_and_a_session_from_its_pickle(find: Any) -> None:
    script = [{1: 0.9, 2: 0.8}, {1: 0.9}, {1: 0.9, 2: 0.8}, {1: 0.9, 3: 0.8}]

    def fresh() -> UniRefVideoSession:
        session = stream(propagate_text=False)
        add_all(session)
        return session

    def run(session: UniRefVideoSession, model: Any, frames: range) -> list[Any]:
        outputs = [model(inference_session=session, frame=clip(4)[frame]) for frame in frames]
        return [(output.object_ids, output.object_masks.flatten(1).sum(1).tolist()) for output in outputs]

    whole = run(fresh(), find(script), range(4))
    assert whole[3][0] == [1, 2, 3]
    model, session = find(script), fresh()
    run(session, model, range(2))
    state, pickled = session_state(session), pickle.dumps(session)
    other = fresh()
    restore_session(other, state)
    assert run(other, model, range(2, 4)) == whole[2:]
    model = find(script)
    run(fresh(), model, range(2))
    assert run(pickle.loads(pickled), model, range(2, 4)) == whole[2:]
    with pytest.raises(ValueError, match="`session` must have the sentences for all objects, got fewer"):
        restore_session(stream(), state)


def test_an_output_tells_which_sentence_found_an_object(find: Any) -> None:
    session = stream(propagate_text=False)
    add_all(session)
    other = session.add_text_for_all(0, torch.tensor([SENTENCES[1]]), sentence="All  Discs")
    session.add_mask(0, 9, disc(0, 4))
    script = [{1: 0.9}, {2: 0.8}, {1: 0.9}, {2: 0.8}]  # each sentence is asked in each frame
    model = find(script, lambda frame, number: disc(frame // 2, number))
    output = model(inference_session=session, frame=clip(2)[0])
    assert dict(zip(output.object_ids, output.object_groups, strict=True)) == {9: None, 10: 0, 11: other}
    objects = read_frame(small_processor(), session, output)
    assert [objects[number].label for number in (9, 10, 11)] == [None, "", "All  Discs"]
    assert [one.sentence for one in session.groups.values()] == ["", "All  Discs"]


def test_a_sentence_is_removed_with_what_it_found_and_with_nothing_else(find: Any) -> None:
    session = stream(propagate_text=False)
    add_all(session)
    other = session.add_text_for_all(0, torch.tensor([SENTENCES[1]]))
    session.add_mask(0, 9, disc(0, 4))
    frames = clip(4)
    model = find([{1: 0.9, 2: 0.8}, {3: 0.8}], lambda frame, number: disc(0, number))
    first = model(inference_session=session, frame=frames[0])
    assert first.object_ids == [9, 10, 11, 12] and first.object_groups == [None, 0, 0, other]
    session.add_mask(1, 10, disc(1, 1))  # is the user's from now on
    before = session.num_bytes()
    session.remove_group(0)
    assert session.object_ids == [9, 10, 12] and list(session.groups) == [other] and session.num_bytes() < before
    state = session_state(session)
    model = find([{3: 0.8}] * 6, lambda frame, number: disc(0, number))
    sizes = []
    for frame in frames[1:4]:
        output = model(inference_session=session, frame=frame)
        assert output.object_ids == [9, 10, 12] and output.object_groups == [None, None, other]
        sizes.append(session.num_bytes())
    assert set(sizes) == {sizes[0]}
    session.remove_group(session.add_text_for_all(4, torch.tensor([SENTENCES[2]])))
    assert session.num_bytes() == sizes[0]
    # Sentences that are given again have other numbers than those that were left.
    again = stream(propagate_text=False)
    again.add_text_for_all(0, torch.tensor([SENTENCES[1]]))
    again.add_mask(1, 10, disc(1, 1))
    restore_session(again, state)
    assert again.memory.objects[12].group == 0
    assert session.add_text_for_all(5, torch.tensor([SENTENCES[1]])) == 3
    with pytest.raises(ValueError, match="`number` 0 is unknown; the session's sentences for all objects are: 1, 3"):
        session.remove_group(0)


def test_a_pickle_that_is_older_than_removal_reads_its_sentences() -> None:
    session = stream()
    add_all(session)
    state = session.__dict__ | {"groups": list(session.groups.values())}
    del state["_next_group"], state["object_choice"]
    old = UniRefVideoSession.__new__(UniRefVideoSession)
    old.__setstate__(state)
    assert list(old.groups) == [0] and add_all(old) is None and list(old.groups) == [0, 1]


def test_a_removed_object_comes_back_under_another_id(find: Any) -> None:
    session = stream(propagate_text=False)
    add_all(session)
    model = find([{1: 0.9}, {1: 0.9}])
    model(inference_session=session, frame=clip(2)[0])
    session.remove_object(1)
    assert model(inference_session=session, frame=clip(2)[1]).object_ids == [2]


# --------------------------------------------------------------------------------------------------------- whole models
def test_the_models_own_queries_are_followed() -> None:
    """With random weights; what is found means nothing, but has to keep the rules."""
    model, session = tiny_model(), offline(5, rvos_score_threshold=None, vos_score_threshold=None)
    add_all(session, max_objects=3)
    before: list[int] = []
    for output in model.propagate_in_video_iterator(session):
        assert set(before) <= set(output.object_ids) <= {1, 2, 3} and output.object_ids
        assert output.pred_masks.shape == (len(output.object_ids), HEIGHT, WIDTH)
        before = output.object_ids


def test_the_processor_asks_for_all_objects_of_a_drawn_clip() -> None:
    from transformers import pipeline

    task = pipeline("referring-segmentation")
    model, processor = task.model, task.processor
    scene = World("test", size=96, seed=1000).clip(4, frames=4)
    sentence = next(texts[0] for texts in scene["sentences"].values() if texts)
    session = processor.init_video_session(video=scene["frames"])
    processor.add_text_prompt(session, None, sentence, targets="all", max_objects=2)
    found = [output.object_ids for output in model.propagate_in_video_iterator(session)]
    assert any(found) and all(len(ids) <= 2 for ids in found)
    with pytest.raises(ValueError, match="`obj_ids` must be None with `targets='all'`, which makes ids, got 3"):
        processor.add_text_prompt(session, 3, sentence, targets="all")
    with pytest.raises(ValueError, match="`max_objects` must be an integer of at least 1, got 0"):
        processor.add_text_prompt(session, None, sentence, targets="all", max_objects=0)
    with pytest.raises(ValueError, match="`targets` must be 'one'"):
        processor.add_text_prompt(session, 3, sentence, targets="many")


# ------------------------------------------------------------------------------------------------------------- matching
rectangles = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5)), max_size=5)


def drawn(corners: list[tuple[int, int, int, int]]) -> torch.Tensor:
    masks = torch.zeros(len(corners), 14, 14, dtype=torch.bool)
    for mask, (x, y, wide, high) in zip(masks, corners, strict=True):
        mask[y : y + high, x : x + wide] = True
    return masks


@settings(deadline=None, max_examples=60)
@given(rectangles, rectangles)
def test_an_object_is_the_one_that_it_overlaps_most_and_new_where_it_overlaps_little(first: Any, second: Any) -> None:
    found, known = drawn(first), drawn(second)
    rows = identities(found, known)
    assert len(rows) == len(found) and None not in identities(known, known)
    for mask, row in zip(found, rows, strict=True):
        shared = (mask & known).flatten(1).sum(1)
        ious = shared / (mask | known).flatten(1).sum(1).clamp(min=1)
        if row is None:
            assert not len(known) or (ious <= 0.5).all()
        else:
            share = float(shared[row]) / min(int(mask.sum()), int(known[row].sum()))
            assert float(ious[row]) > 0.5 or share > 0.8
            # Nothing else is more of a match.
            assert float(ious.max()) <= 0.5 or float(ious[row]) == float(ious.max())
