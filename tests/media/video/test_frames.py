"""The frames of a clip, whatever it is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from processor_support import (
    picture,
)
from transformers_uniref.media.video.frames import VideoFrames


def test_frames_come_from_lists_arrays_directories_and_files(tmp_path):
    frames = [picture(32, 48, seed=index) for index in range(3)]
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"frame{index + 9}.png")  # 9, 10, 11: by number, not by letter
    forms = [
        frames,
        tuple(Image.fromarray(frame) for frame in frames),
        np.stack(frames),
        torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2),
        tmp_path,
        str(tmp_path),
    ]
    for form in forms:
        clip = VideoFrames(form)
        assert (len(clip), clip.size) == (3, (32, 48))
        assert all(np.array_equal(got, want) for got, want in zip(clip, frames, strict=True))
        assert np.array_equal(clip[-1], frames[2])
        assert len(clip[1:]) == 2
        with pytest.raises(IndexError):
            clip[3]


def test_a_video_file_is_read_in_any_order(tmp_path):
    pytest.importorskip("av")
    from transformers_uniref.media.video.io import VideoWriter, read_frames

    path = tmp_path / "clip.mp4"
    with VideoWriter(path, frames_per_second=10) as writer:
        for shade in range(0, 250, 10):
            writer.write(np.full((32, 48, 3), shade, dtype=np.uint8))
    expected = list(read_frames(path))
    clip = VideoFrames(path)
    assert len(clip) == len(expected) == 25
    for index in [0, 1, 2, 20, 20, 5, 24, 0, 23]:
        assert np.array_equal(clip[index], expected[index])


def test_an_animated_picture_is_a_clip(tmp_path):
    frames = [picture(16, 16, seed=index) for index in range(3)]
    path = tmp_path / "clip.png"
    Image.fromarray(frames[0]).save(path, save_all=True, append_images=[Image.fromarray(f) for f in frames[1:]])
    assert all(np.array_equal(got, want) for got, want in zip(VideoFrames(path), frames, strict=True))
