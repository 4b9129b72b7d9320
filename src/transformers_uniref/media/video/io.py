"""Clips in and out: what reads and writes them, under one name."""

from ..clips.kinds import ACCEPTED, ANIMATION_SUFFIXES, FRAME_SUFFIXES
from ..clips.reading import (
    DEFAULT_FRAMES_PER_SECOND,
    ClipFrame,
    ClipInfo,
    frame_files,
    probe_clip,
    read_clip,
    read_frames,
)
from ..clips.writing import VIDEO_SUFFIXES, VideoWriter, clip_writer, save_animation
from ..gif_writing import GifWriter
from ..numbered_frames import NumberedFrames

__all__ = [
    "ACCEPTED",
    "ANIMATION_SUFFIXES",
    "DEFAULT_FRAMES_PER_SECOND",
    "FRAME_SUFFIXES",
    "VIDEO_SUFFIXES",
    "ClipFrame",
    "ClipInfo",
    "GifWriter",
    "NumberedFrames",
    "VideoWriter",
    "clip_writer",
    "frame_files",
    "probe_clip",
    "read_clip",
    "read_frames",
    "save_animation",
]
