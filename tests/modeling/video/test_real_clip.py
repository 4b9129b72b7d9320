"""The video session on a real clip whose objects are annotated one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noise import assert_same_clip
from places import SHARED_DATA
from processor_support import small_tokenizer
from transformers_uniref.modeling.video.session import VideoOutput
from transformers_uniref.processors.processing_uniref import UniRefProcessor
from video_support import image_processor, tiny_model

JUDO = SHARED_DATA / "judo"
ANNOTATED = (0, 5, 8, 13)  # frame 5's mask is one pixel narrower than the frame
OPTIONS = {"vos_score_threshold": None, "output_size": (120, 214)}

pytestmark = pytest.mark.skipif(not JUDO.is_dir(), reason="the clip `judo` is not beside the repository")


@pytest.fixture(scope="module")
def processor() -> UniRefProcessor:
    return UniRefProcessor(image_processor(), small_tokenizer())


def frame_files() -> list[Path]:
    return sorted((JUDO / "frames").glob("*.jpg"))


def annotate(processor: UniRefProcessor, session: Any, only: int | None = None) -> Any:
    """Object 1 appears in frame 0, 2 in 5, 3 in 8, 4 in 13."""
    for index, frame in enumerate(ANNOTATED):
        labels = Image.open(JUDO / "masks" / f"{frame:05d}.png")
        if only in (None, index + 1):
            processor.add_mask_prompt(session, frame_idx=frame, obj_ids=index + 1, masks=labels)
    return session


@pytest.fixture(scope="module")
def offline(processor: UniRefProcessor) -> list[VideoOutput]:
    with pytest.warns(UserWarning, match=r"\(480, 853\) was resized to the frame's size \(480, 854\)"):
        session = annotate(processor, processor.init_video_session(JUDO / "frames", **OPTIONS))
    return list(tiny_model().propagate_in_video_iterator(session))


def test_objects_appear_with_their_annotations(offline: list[VideoOutput]) -> None:
    assert len(offline) == len(frame_files()) == 16
    for out in offline:
        assert out.object_ids == [index + 1 for index, frame in enumerate(ANNOTATED) if frame <= out.frame_idx]
    for index, frame in enumerate(ANNOTATED):
        given = np.asarray(Image.open(JUDO / "masks" / f"{frame:05d}.png")) == index + 1
        assert offline[frame].pred_masks[index].mean().item() == pytest.approx(given.mean(), abs=2e-3)


@pytest.mark.filterwarnings("ignore:.*was resized to the frame's size")
def test_streaming_equals_offline(processor: UniRefProcessor, offline: list[VideoOutput]) -> None:
    session = annotate(processor, processor.init_video_session(**OPTIONS))
    outputs = [tiny_model()(inference_session=session, frame=Image.open(file)) for file in frame_files()]
    assert_same_clip(outputs, offline)


@pytest.mark.filterwarnings("ignore:.*was resized to the frame's size")
def test_a_batch_of_objects_equals_one_at_a_time(processor: UniRefProcessor, offline: list[VideoOutput]) -> None:
    session = processor.init_video_session(JUDO / "frames", object_chunk_size=1, **OPTIONS)
    assert_same_clip(list(tiny_model().propagate_in_video_iterator(annotate(processor, session))), offline)


def test_one_object_in_a_session_of_its_own_equals_it_among_others_until_they_meet(
    processor: UniRefProcessor, offline: list[VideoOutput]
) -> None:
    session = annotate(processor, processor.init_video_session(JUDO / "frames", **OPTIONS), only=1)
    outputs = list(tiny_model().propagate_in_video_iterator(session, max_frames=6))
    among = [VideoOutput(out.frame_idx, [1], out.pred_masks[:1], out.object_scores[:1]) for out in offline[:6]]
    assert_same_clip(outputs, among)


def test_masks_are_disjoint_and_of_video_size(processor: UniRefProcessor) -> None:
    session = processor.init_video_session(JUDO / "frames", vos_score_threshold=None)
    labels = np.zeros((480, 854), np.uint8)
    labels[:200, :300], labels[200:, 400:] = 4, 9
    processor.add_mask_prompt(session, frame_idx=2, obj_ids=[4, 9], masks=labels)
    for out in tiny_model().propagate_in_video_iterator(session, start_frame_idx=2, max_frames=2):
        masks = processor.post_process_video_masks(out, session)
        assert list(masks) == [4, 9] and masks[4].shape == (480, 854)
        assert not (masks[4] & masks[9]).any()


def test_a_mask_of_another_size_is_refused(processor: UniRefProcessor) -> None:
    session = processor.init_video_session(JUDO / "frames")
    with pytest.raises(ValueError, match=r"\(480, 854\), got \(480, 800\)"):
        processor.add_mask_prompt(session, 0, 1, np.ones((480, 800), bool) & (np.arange(800) < 400))
    assert session.object_ids == []


def test_sentences_and_masks_in_one_session_from_the_processor(processor: UniRefProcessor) -> None:
    session = processor.init_video_session(JUDO / "frames", rvos_score_threshold=None, **OPTIONS)
    processor.add_text_prompt(session, obj_ids=[7], text=["the red car"])
    processor.add_mask_prompt(session, 0, 1, Image.open(JUDO / "masks" / "00000.png"))
    for out in tiny_model().propagate_in_video_iterator(session, max_frames=2):
        assert out.object_ids == [1, 7]
        masks = processor.post_process_video_masks(out, session)
        assert {mask.shape for mask in masks.values()} == {(120, 214)}
