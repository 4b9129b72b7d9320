"""Clips out, frame by frame: MP4 and WebM through PyAV, animated pictures through Pillow.

`clip_writer` chooses by the suffix. A file appears under its name only when all of its frames are written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.atomic import replacing
from ...core.errors import UsageError
from ..frame_writer import FrameWriter, check_rate
from ..gif_writing import GifWriter
from ..video.file import pyav
from .reading import DEFAULT_FRAMES_PER_SECOND

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")

# By codec, the options that give a clean picture at a bearable speed. H.264 and VP9 play in every browser; builds of
# FFmpeg without x264 have the older MPEG-4.
_OPTIONS = {
    "libx264": {"crf": "18", "preset": "veryfast"},
    "mpeg4": {"qscale": "3"},
    "libvpx-vp9": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libvpx": {"crf": "10", "b": "4M", "deadline": "realtime", "cpu-used": "6"},
}


def clip_writer(
    path: str | os.PathLike[str], frames_per_second: float = DEFAULT_FRAMES_PER_SECOND
) -> VideoWriter | GifWriter:
    """The writer for a file name: `GifWriter` for `.gif`, `VideoWriter` for `.mp4`, `.mov`, `.mkv` and `.webm`.

    Raises:
        ValueError: another suffix, or no positive rate.
        MissingExtraError: a video, and PyAV is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix != ".gif" and suffix not in VIDEO_SUFFIXES:
        raise UsageError(f"`path` must end in .gif, {', '.join(VIDEO_SUFFIXES)}, got {os.fspath(path)}")
    return GifWriter(path, frames_per_second) if suffix == ".gif" else VideoWriter(path, frames_per_second)


class VideoWriter(FrameWriter):
    """Encodes frames into a video file as they come; the file appears under its name only when all are written.

    ```python
    with VideoWriter("overlay.mp4", frames_per_second=24) as writer:
        for frame in frames:
            writer.write(frame)
    ```

    Odd sides are padded by a pixel, since the common pixel format needs even ones.

    Args:
        path: name of the file; `.mp4`, `.mov` or `.mkv` (H.264), or `.webm` (VP9).
        frames_per_second: above 0.

    Raises:
        ValueError: another suffix, or no positive rate.
        MissingExtraError: PyAV is not installed.
    """

    kind, suffixes = "a video", VIDEO_SUFFIXES

    def __init__(self, path: str | os.PathLike[str], frames_per_second: float = DEFAULT_FRAMES_PER_SECOND) -> None:
        super().__init__(path, frames_per_second)
        # Within this bound the rates of television, 24000/1001 and the like, stay exact.
        self.rate: Fraction = max(Fraction(frames_per_second).limit_denominator(1001), Fraction(1, 1001))
        # Fine enough for frames at any time, a whole number of ticks for frames at the rate, and below 65536, which is
        # what MPEG-4 can store.
        self._tick = Fraction(1, self.rate.numerator * max(1, 60000 // self.rate.numerator))
        self._latest = -1
        self._av = pyav()
        self._container: Any = None
        self._stream: Any = None

    def _open(self, partial: Path) -> None:
        self._container = self._stack.enter_context(self._av.open(str(partial), mode="w"))

    def _append(self, frame: np.ndarray, seconds: float | Fraction) -> None:
        even = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode="edge")
        if self._stream is None:
            self._open_stream(*even.shape[:2])
        encoded = self._av.VideoFrame.from_ndarray(even, format="rgb24")
        self._latest = max(round(seconds / self._tick), self._latest + 1)
        encoded.pts, encoded.time_base = self._latest, self._tick
        with suppress(AttributeError):  # frames of older PyAV have no duration of their own; the last one's is lost
            encoded.duration = round(1 / self.rate / self._tick)
        for packet in self._stream.encode(encoded):
            self._container.mux(packet)

    def _open_stream(self, height: int, width: int) -> None:
        preferred = ("libvpx-vp9", "libvpx") if self.path.suffix.lower() == ".webm" else ("libx264", "mpeg4")
        available = self._av.codec.codecs_available
        codec = preferred[0] if preferred[0] in available else preferred[1]
        self._stream = self._container.add_stream(codec, rate=self.rate, options=_OPTIONS[codec])
        self._stream.codec_context.time_base = self._tick
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = "yuv420p"

    def _finish(self) -> None:
        for packet in self._stream.encode():
            self._container.mux(packet)


def save_animation(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], frames_per_second: float = DEFAULT_FRAMES_PER_SECOND
) -> None:
    """Writes a short animated picture that loops, without any extra; for long clips use `clip_writer`.

    Args:
        path: name of the file; `.gif`, `.webp`, or `.png` / `.apng` (lossless).
        frames: uint8 (H, W, 3) of one size.
        frames_per_second: above 0; GIF rounds the time of a frame to hundredths of a second.

    Raises:
        ValueError: no frame, another suffix, or no positive rate.
    """
    formats = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
    suffix = Path(path).suffix.lower()
    if suffix not in formats:
        raise UsageError(f"`path` must end in {', '.join(formats)}, got {os.fspath(path)}")
    check_rate(frames_per_second)
    pictures = [Image.fromarray(np.asarray(frame)) for frame in frames]
    if not pictures:
        raise UsageError("`frames` must hold at least one picture, got none.")
    options: dict[str, Any] = {"quality": 85} if suffix == ".webp" else {}
    with replacing(path) as partial:
        pictures[0].save(
            partial,
            format=formats[suffix],
            save_all=True,
            append_images=pictures[1:],
            duration=max(10, round(1000 / frames_per_second)),
            loop=0,
            **options,
        )
