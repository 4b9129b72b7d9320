"""Clips frame by frame: out of a folder of pictures, an animated picture or a video file, and into an MP4.

Both directions hold one frame at a time, so that memory does not grow with the length of a clip.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..optional import require
from ..processors.inputs import rgb_array
from .atomic import replacing

FRAME_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ANIMATION_SUFFIXES = (".apng", ".gif", ".png", ".webp")
DEFAULT_FRAMES_PER_SECOND = 24.0
ACCEPTED = (
    f"a folder of frames ({', '.join(FRAME_SUFFIXES)}), an animated picture ({', '.join(ANIMATION_SUFFIXES)}) "
    "or a video file (.mp4, .mov, .mkv, .webm, ...)"
)


@dataclass(frozen=True)
class ClipInfo:
    """What is known about a clip before its frames are read.

    Args:
        path: the folder or file.
        kind: "frames" (a folder), "animation" (GIF, APNG, WebP) or "video".
        num_frames: how many frames there are; None when the container does not say. A container may be wrong.
        frames_per_second: 24 for a folder, which has no times.
        names: the frames' file names without suffix, for a folder; otherwise empty.
    """

    path: Path
    kind: Literal["frames", "animation", "video"]
    num_frames: int | None
    frames_per_second: float
    names: tuple[str, ...] = ()

    def name(self, index: int) -> str:
        """A name for what is derived from frame `index`: that of its file, or its number (00000, 00001, ...)."""
        return self.names[index] if self.names else f"{index:05d}"


def frame_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The picture files of a folder in the order of their names, numbers counted as numbers (2 before 10).

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no picture.
    """
    directory = Path(folder)
    if not directory.is_dir():
        raise FileNotFoundError(f"`video` must be {ACCEPTED}; there is no folder {directory}")
    files = [
        file
        for file in directory.iterdir()
        if file.suffix.lower() in FRAME_SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]
    if not files:
        raise ValueError(f"`video` must be {ACCEPTED}; this folder holds no picture: {directory}")
    return sorted(files, key=_natural_order)


def probe_clip(path: str | os.PathLike[str]) -> ClipInfo:
    """Tells what kind of clip a path holds and how long it says it is, without decoding it.

    Raises:
        FileNotFoundError: there is nothing at this path.
        ValueError: not a clip, damaged, or without frames.
        MissingExtraError: a video file, and PyAV is not installed.
    """
    clip = Path(path)
    if clip.is_dir():
        files = frame_files(clip)
        return ClipInfo(clip, "frames", len(files), DEFAULT_FRAMES_PER_SECOND, _distinct_names(files))
    if not clip.is_file():
        raise FileNotFoundError(f"`video` must be {ACCEPTED}; there is no {clip}")
    if _is_picture(clip):
        with _open_animation(clip) as image:
            milliseconds = float(image.info.get("duration") or 0)
            fps = 1000 / milliseconds if milliseconds > 0 else DEFAULT_FRAMES_PER_SECOND
            return ClipInfo(clip, "animation", int(getattr(image, "n_frames", 1)), fps)
    av = _pyav()
    with _open_video(av, clip) as container:
        stream = _video_stream(container, clip)
        rate = stream.average_rate or stream.base_rate
        fps = float(rate) if rate else DEFAULT_FRAMES_PER_SECOND
        count = stream.frames or None
        if count is None and stream.duration and stream.time_base and rate:
            count = max(1, round(float(stream.duration * stream.time_base) * fps))
        return ClipInfo(clip, "video", count, fps)


def read_frames(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Yields the frames of a clip one after the other, upright, uint8 RGB (H, W, 3).

    Args:
        path: a folder of pictures, an animated GIF / APNG / WebP, or a video file that FFmpeg decodes (extra `video`).

    Raises:
        FileNotFoundError: there is nothing at this path.
        ValueError: not a clip, a damaged frame, a frame of another size than the first, or no frame at all.
        MissingExtraError: a video file, and PyAV is not installed.
    """
    info = probe_clip(path)
    readers = {"frames": _folder_frames, "animation": _animation_frames, "video": _video_frames}
    size: tuple[int, ...] | None = None
    for index, frame in enumerate(readers[info.kind](info.path)):
        if size is None:
            size = frame.shape[:2]
        elif frame.shape[:2] != size:
            raise ValueError(
                f"`video` must have frames of one size, got {frame.shape[:2]} (height, width) at frame {index} after "
                f"{size}: {info.path}"
            )
        yield frame
    if size is None:
        raise ValueError(f"`video` has no frames: {info.path}")


def _natural_order(file: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", file.name)]


def _distinct_names(files: list[Path]) -> tuple[str, ...]:
    """File names without suffix, with it where two files differ in nothing else (a.jpg, a.png)."""
    stems = [file.stem for file in files]
    return tuple(file.stem if stems.count(file.stem) == 1 else file.name for file in files)


# -------------------------------------------------------------------------------------------------------------- reading
def _folder_frames(folder: Path) -> Iterator[np.ndarray]:
    for file in frame_files(folder):
        yield rgb_array(file, "video")


def _is_picture(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return path.suffix.lower() in (*FRAME_SUFFIXES, *ANIMATION_SUFFIXES)


def _open_animation(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"`video` names a damaged picture: {path} ({error})") from error


def _animation_frames(path: Path) -> Iterator[np.ndarray]:
    with _open_animation(path) as image:
        for index in range(int(getattr(image, "n_frames", 1))):
            try:
                image.seek(index)
                frame = image.copy()
            except (EOFError, OSError, SyntaxError, ValueError) as error:
                raise ValueError(f"`video` is damaged at frame {index}: {path} ({error})") from error
            yield rgb_array(frame, "video")


def _pyav() -> ModuleType:
    return require("av", "video", "reading and writing video files")


def _open_video(av: ModuleType, path: Path) -> Any:
    try:
        return av.open(str(path))
    except av.FFmpegError as error:
        raise ValueError(f"`video` must be {ACCEPTED}; this is none of them, or damaged: {path} ({error})") from error


def _video_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise ValueError(f"`video` has no picture stream (sound only?): {path}")
    return container.streams.video[0]


def _video_frames(path: Path) -> Iterator[np.ndarray]:
    av = _pyav()
    with _open_video(av, path) as container:
        stream = _video_stream(container, path)
        stream.thread_type = "AUTO"
        index = -1
        decoded = container.decode(stream)
        while True:
            index += 1
            try:
                frame = next(decoded, None)
            except av.FFmpegError as error:
                raise ValueError(f"`video` is damaged at frame {index}: {path} ({error})") from error
            if frame is None:
                return
            upright = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90))
            yield np.ascontiguousarray(upright)


# -------------------------------------------------------------------------------------------------------------- writing
class VideoWriter(AbstractContextManager["VideoWriter"]):
    """Encodes frames into an MP4 as they come; the file appears under its name only when all are written.

    ```python
    with VideoWriter("overlay.mp4", frames_per_second=24) as writer:
        for frame in frames:
            writer.write(frame)
    ```

    Args:
        path: name of the file; `.mp4`, `.mov` or `.mkv`.
        frames_per_second: above 0.

    Raises:
        ValueError: another suffix, or no positive rate.
        MissingExtraError: PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], frames_per_second: float = DEFAULT_FRAMES_PER_SECOND) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in (".mp4", ".mov", ".mkv"):
            raise ValueError(f"`path` must end in .mp4, .mov or .mkv, got {self.path}")
        if not 0 < frames_per_second < float("inf"):
            raise ValueError(f"`frames_per_second` must be above 0, got {frames_per_second}.")
        # Within this bound the rates of television, 24000/1001 and the like, stay exact.
        self.rate = max(Fraction(frames_per_second).limit_denominator(1001), Fraction(1, 1001))
        self.num_frames = 0
        self._size: tuple[int, int] | None = None
        self._av = _pyav()
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        partial = self._stack.enter_context(replacing(self.path))
        self._container = self._stack.enter_context(self._av.open(str(partial), mode="w"))
        return self

    def write(self, frame: np.ndarray) -> None:
        """Appends one frame, uint8 RGB (H, W, 3), of the first one's size.

        Raises:
            ValueError: another type, shape or size.
        """
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            raise ValueError(f"`frame` must be uint8 (height, width, 3), got {frame.dtype} of shape {frame.shape}.")
        if self._size is None:
            self._size = (frame.shape[0], frame.shape[1])
            self._open_stream()
        elif frame.shape[:2] != self._size:
            raise ValueError(f"`frame` must have the first frame's size {self._size}, got {frame.shape[:2]}.")
        # The common pixel format halves the colour's resolution and needs even sides.
        even = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode="edge")
        for packet in self._stream.encode(self._av.VideoFrame.from_ndarray(even, format="rgb24")):
            self._container.mux(packet)
        self.num_frames += 1

    def _open_stream(self) -> None:
        assert self._size is not None
        available = self._av.codec.codecs_available
        # H.264 plays everywhere; builds of FFmpeg without it have the older MPEG-4.
        codec, options = ("libx264", {"crf": "18", "preset": "veryfast"}) if "libx264" in available else ("mpeg4", {})
        self._stream = self._container.add_stream(codec, rate=self.rate, options=options)
        self._stream.height, self._stream.width = (side + side % 2 for side in self._size)
        self._stream.pix_fmt = "yuv420p"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if self._stream is None:
                raise ValueError(f"a video needs at least one frame, got none: {self.path}")
            for packet in self._stream.encode():
                self._container.mux(packet)


def save_animation(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], frames_per_second: float = DEFAULT_FRAMES_PER_SECOND
) -> None:
    """Writes a short animated picture that loops, without any extra; for long clips use `VideoWriter`.

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
        raise ValueError(f"`path` must end in {', '.join(formats)}, got {os.fspath(path)}")
    if not 0 < frames_per_second < float("inf"):
        raise ValueError(f"`frames_per_second` must be above 0, got {frames_per_second}.")
    pictures = [Image.fromarray(np.asarray(frame)) for frame in frames]
    if not pictures:
        raise ValueError("`frames` must hold at least one picture, got none.")
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
