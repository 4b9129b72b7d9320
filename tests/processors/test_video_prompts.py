"""Prompts of a clip: masks and sentences, checked once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from processor_support import (
    WORDS,
    RecordingSession,
    disc,
    picture,
    small_processor,
)


def test_a_label_map_gives_each_object_its_pixels():
    session = RecordingSession()
    labels = disc() + 3 * (np.indices((80, 120))[1] > 100).astype(np.uint8)
    small_processor().add_mask_prompt(session, frame_idx=2, obj_ids=[1, 3], masks=Image.fromarray(labels))
    assert sorted(session.masks) == [(2, 1), (2, 3)]
    assert np.array_equal(session.masks[2, 3], labels == 3)
    assert session.masks[2, 1].dtype == np.bool_


def test_binary_masks_come_one_for_each_object_or_alone():
    masks = [disc() > 0, disc(value=255)]
    for form in (masks, np.stack([masks[0], masks[1] > 0]), torch.from_numpy(np.stack([masks[0], masks[1] > 0]))):
        session = RecordingSession()
        small_processor().add_mask_prompt(session, 0, [4, 9], form)
        assert np.array_equal(session.masks[0, 9], masks[1] > 0)
    for alone in (disc() > 0, disc(), disc(value=255), disc(value=4)):
        session = RecordingSession()
        small_processor().add_mask_prompt(session, 0, 4, alone)
        assert np.array_equal(session.masks[0, 4], disc() > 0)


def test_a_mask_a_pixel_too_narrow_is_resized_with_a_warning():
    session = RecordingSession()
    with pytest.warns(UserWarning, match="resized"):
        small_processor().add_mask_prompt(session, 0, [1], [disc(80, 119)])
    assert session.masks[0, 1].shape == (80, 120)


def test_sentences_are_tokenised_one_for_each_object():
    session = RecordingSession()
    small_processor().add_text_prompt(session, obj_ids=[2, 5], text=["The dog.", "a cat"], frame_idx=1)
    assert session.sentences[1, 2] == [WORDS.index(word) for word in ("[CLS]", "the", "dog", "[SEP]")]
    small_processor().add_text_prompt(session, 7, "a cat")
    assert (0, 7) in session.sentences


def test_a_prompt_may_lie_ahead_in_a_stream():
    session = RecordingSession(video_size=None, num_frames=None)
    small_processor().add_mask_prompt(session, 1000, [1], [disc(33, 44)])
    assert session.masks[1000, 1].shape == (33, 44)


def test_a_session_knows_its_clip_and_its_prompts():
    processor = small_processor()
    frames = [picture(40, 60, seed=index) for index in range(3)]
    session = processor.init_video_session(frames, vos_score_threshold=0.5)
    assert (session.num_frames, session.video_size) == (3, (40, 60))
    processor.add_mask_prompt(session, frame_idx=1, obj_ids=[2], masks=[disc(40, 60)])
    processor.add_text_prompt(session, obj_ids=[5], text="the dog")
    assert session.object_ids == [2, 5]
    assert np.array_equal(session.prompts.masks_at(1, (40, 60))[2].numpy(), disc(40, 60) > 0)
    assert session.prompts.texts_at(0, reverse=False)[5].input_ids.shape == (1, 77)
    prepared = session.prepare_frame(frames[0])
    alone = processor.image_processor(frames[0], size=processor.image_processor.video_size)
    assert torch.equal(prepared.pixel_values, alone.pixel_values)
    assert processor.init_video_session().num_frames is None
    with pytest.raises(TypeError, match="thresh"):
        processor.init_video_session(frames, thresh=0.5)
