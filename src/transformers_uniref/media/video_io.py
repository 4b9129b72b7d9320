"""Clips in and out: everything of `clip_reading` and `clip_writing` under one name."""

from .clip_reading import (
    ACCEPTED,
    ANIMATION_SUFFIXES,
    DEFAULT_FRAMES_PER_SECOND,
    FRAME_SUFFIXES,
    ClipFrame,
    ClipInfo,
    frame_files,
    probe_clip,
    read_clip,
    read_frames,
)
from .clip_writing import VIDEO_SUFFIXES, VideoWriter, clip_writer, save_animation
from .gif_writing import GifWriter

__all__ = [
    "ACCEPTED",
    "ANIMATION_SUFFIXES",
    "DEFAULT_FRAMES_PER_SECOND",
    "FRAME_SUFFIXES",
    "VIDEO_SUFFIXES",
    "ClipFrame",
    "ClipInfo",
    "GifWriter",
    "VideoWriter",
    "clip_writer",
    "frame_files",
    "probe_clip",
    "read_clip",
    "read_frames",
    "save_animation",
]
