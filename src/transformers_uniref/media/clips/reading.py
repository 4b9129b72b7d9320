"""Clips frame by frame: out of a folder of pictures, a list of them, an animated picture or a video file.

One frame is held at a time, so that memory does not grow with the length of a clip.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from ...core.errors import UsageError
from ...core.picture_input import UNREADABLE, rgb_array
from ..cut_off import missing_bytes
from ..picture_files import picture_files
from ..video.file import SQUARE, Damaged, VideoFile, damage, pyav, warn_of_failures
from .kinds import ACCEPTED, is_picture

DEFAULT_FRAMES_PER_SECOND = 24.0

ClipSource: TypeAlias = "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]"
# The seconds at which a frame is shown, what decodes its pixels, and their width by their height.
_Reader: TypeAlias = "Iterator[tuple[float, Callable[[], np.ndarray], Fraction]]"


@dataclass(frozen=True)
class ClipInfo:
    """What is known about a clip before its frames are read.

    Args:
        path: the folder or file; of a list of pictures, the folder of the first.
        kind: "frames" (a folder or a list of pictures), "animation" (GIF, APNG, WebP) or "video".
        num_frames: how many frames there are; None when the container does not say. A container may be wrong.
        frames_per_second: on average; 24 for pictures, which have no times.
        names: the frames' file names without suffix, for pictures; otherwise empty.
        files: the pictures, for pictures; otherwise empty.
        size: (height, width) that an animation or video states, before it is turned upright; None for pictures.
        damaged: "refuse" or "keep"; see `probe_clip`.
    """

    path: Path
    kind: Literal["frames", "animation", "video"]
    num_frames: int | None
    frames_per_second: float
    names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    size: tuple[int, int] | None = None
    damaged: Damaged = "refuse"

    def name(self, index: int) -> str:
        """A name for what is derived from frame `index`: that of its file, or its number (00000, 00001, ...)."""
        return self.names[index] if self.names else f"{index:05d}"


@dataclass(frozen=True)
class ClipFrame:
    """One frame of a clip.

    Attributes:
        index: its number in the clip, from 0.
        time: seconds after the clip's first frame. Frames need not be equally far apart.
        image: uint8 RGB (H, W, 3), upright, in the pixels that are stored.
        pixel_aspect: width of a pixel by its height, as it is to be shown; not 1 in clips of old camcorders, DVDs and
            broadcasts.
    """

    index: int
    time: float
    image: np.ndarray
    pixel_aspect: Fraction = SQUARE


def frame_files(folder: str | os.PathLike[str]) -> list[Path]:
    """The picture files of a folder in the order of their names, numbers counted as numbers (2 before 10).

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no picture.
    """
    directory = Path(folder)
    if not directory.is_dir():
        raise FileNotFoundError(f"`video` must be {ACCEPTED}; there is no folder {directory}")
    files = picture_files(directory)
    if not files:
        raise UsageError(f"`video` must be {ACCEPTED}; this folder holds no picture: {directory}")
    return sorted(files, key=natural_order)


def natural_order(file: str | Path) -> list[tuple[int, str]]:
    """A key to sort files by their names, and texts, in which numbers count as numbers (2 before 10)."""
    text = file if isinstance(file, str) else file.name
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", text)]


def probe_clip(source: ClipSource, damaged: Damaged = "refuse") -> ClipInfo:
    """Tells what kind of clip there is and how long it says it is, without decoding it.

    Args:
        source: a folder of pictures, an animated picture or a video file; or picture files, in the order of the clip.
        damaged: what to do with a video file that is cut off or damaged: "refuse" it with an error, or "keep" what can
            be decoded, with a warning that says what was left out.

    Raises:
        FileNotFoundError: there is nothing at this path.
        ValueError: not a clip, damaged, cut off, or without frames.
        MissingExtraError: a video file, and PyAV is not installed.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _pictures_info([Path(file) for file in source])
    clip = Path(source)
    if clip.is_dir():
        return _pictures_info(frame_files(clip), clip)
    if not clip.is_file():
        raise FileNotFoundError(f"`video` must be {ACCEPTED}; there is no {clip}")
    if is_picture(clip):
        with _open_animation(clip) as image:
            milliseconds = float(image.info.get("duration") or 0)
            fps = 1000 / milliseconds if milliseconds > 0 else DEFAULT_FRAMES_PER_SECOND
            size = (image.height, image.width)
            return ClipInfo(clip, "animation", int(getattr(image, "n_frames", 1)), fps, size=size)
    return _video_info(clip, damaged)


def read_frames(source: ClipSource, damaged: Damaged = "refuse") -> Iterator[np.ndarray]:
    """Yields the frames of a clip one after the other, upright, uint8 RGB (H, W, 3).

    Args:
        source: a folder of pictures, an animated GIF / APNG / WebP, or a video file that FFmpeg decodes (extra
            `video`); or picture files, in the order of the clip.
        damaged: see `probe_clip`.

    Raises:
        FileNotFoundError: there is nothing at this path.
        ValueError: not a clip, a damaged frame, a frame of another size than the first, or no frame at all.
        MissingExtraError: a video file, and PyAV is not installed.
    """
    for frame in read_clip(probe_clip(source, damaged)):
        yield frame.image


def read_clip(info: ClipInfo, *, start: int = 0, end: int | None = None, stride: int = 1) -> Iterator[ClipFrame]:
    """Yields frames of a clip with their numbers and times.

    Args:
        info: the clip, from `probe_clip`.
        start: number of the first frame, from 0.
        end: number of the frame before which to stop; None goes on to the clip's end.
        stride: 1 for every frame, 2 for every second one, ... Frames between are skipped at little cost.

    Raises:
        ValueError: see `read_frames`; `start` below 0, `end` not above it, or `stride` below 1; no frame is left.
    """
    if start < 0 or stride < 1 or (end is not None and end <= start):
        raise UsageError(
            f"`start` must be 0 or more, `end` above it and `stride` 1 or more, got {start}, {end} and {stride}."
        )
    readers = {"frames": _picture_frames, "animation": _animation_frames, "video": _video_frames}
    size: tuple[int, ...] | None = None
    origin = latest = 0.0
    index = -1
    for index, (time, decode, aspect) in enumerate(readers[info.kind](info)):
        if index == 0:
            origin = time
        # Broken containers have times that stand still or go back.
        latest = time - origin if index == 0 else max(time - origin, latest + 1e-3)
        if end is not None and index >= end:
            break
        if index < start or (index - start) % stride:
            continue
        image = decode()
        if size is None:
            size = image.shape[:2]
        elif image.shape[:2] != size:
            raise UsageError(
                f"`video` must have frames of one size, got {image.shape[:2]} (height, width) at frame {index} after "
                f"{size}: {info.path}"
            )
        yield ClipFrame(index, latest, image, aspect)
    if index < 0:
        raise UsageError(f"`video` has no frames: {info.path}")
    if size is None:
        raise UsageError(f"`start` must be one of the clip's {index + 1} frames, counted from 0, got {start}")


# ------------------------------------------------------------------------------------------------ pictures, animations
def _pictures_info(files: Sequence[Path], folder: Path | None = None) -> ClipInfo:
    if not files:
        raise UsageError(f"`video` must be {ACCEPTED}; got no picture at all")
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise FileNotFoundError(f"`video` names a frame that does not exist: {missing[0]}")
    path = files[0].parent if folder is None else folder
    return ClipInfo(path, "frames", len(files), DEFAULT_FRAMES_PER_SECOND, _distinct_names(files), tuple(files))


def _distinct_names(files: Sequence[Path]) -> tuple[str, ...]:
    """File names without suffix, with it where two files differ in nothing else (a.jpg, a.png)."""
    stems = [file.stem for file in files]
    counts = {stem: stems.count(stem) for stem in set(stems)} if len(set(stems)) < len(stems) else {}
    return tuple(file.stem if counts.get(file.stem, 1) == 1 else file.name for file in files)


def _picture_frames(info: ClipInfo) -> _Reader:
    for index, file in enumerate(info.files):
        yield index / info.frames_per_second, lambda file=file: rgb_array(file, "video"), SQUARE  # type: ignore[misc]


def _open_animation(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except UNREADABLE as error:
        raise UsageError(f"`video` names a damaged picture: {path} ({error})") from error


def _animation_frames(info: ClipInfo) -> _Reader:
    time = 0.0
    with _open_animation(info.path) as image:
        for index in range(int(getattr(image, "n_frames", 1))):
            try:
                image.seek(index)
                frame = image.copy()
            except (EOFError, OSError, SyntaxError, ValueError) as error:
                raise UsageError(f"`video` is damaged at frame {index}: {info.path} ({error})") from error
            yield time, lambda frame=frame: rgb_array(frame, "video"), SQUARE  # type: ignore[misc]
            milliseconds = float(image.info.get("duration") or 0)
            time += milliseconds / 1000 if milliseconds > 0 else 1 / info.frames_per_second


# ---------------------------------------------------------------------------------------------------------- video files
def _video_info(clip: Path, damaged: Damaged) -> ClipInfo:
    if missing := missing_bytes(clip):
        told = f"`video` is cut off, at least {missing} bytes are missing"
        if damaged != "keep":
            raise UsageError(f'{told} (damaged="keep" reads what is there): {clip}')
        warnings.warn(f"{told}: {clip}", stacklevel=3)
    with VideoFile(clip, damaged) as video:
        stream, duration = video.stream, video.container.duration
        rate = stream.average_rate or stream.base_rate
        fps = float(rate) if rate else DEFAULT_FRAMES_PER_SECOND
        count = stream.frames or None
        if count is None and stream.duration and stream.time_base and rate:
            count = max(1, round(float(stream.duration * stream.time_base) * fps))
        elif count is None and duration and rate:
            count = max(1, round(duration / pyav().time_base * fps))
        size = (int(stream.height), int(stream.width))
        return ClipInfo(clip, "video", count, fps, size=size, damaged=damaged)


def _video_frames(info: ClipInfo) -> _Reader:
    with VideoFile(info.path, info.damaged) as video:
        index, time = 0, 0.0
        try:
            for frame, _ in video.frames():
                stated = video.time(frame)
                time = time + (index > 0) / info.frames_per_second if stated is None else stated
                yield time, lambda frame=frame: video.picture(frame), video.pixel_aspect(frame)  # type: ignore[misc]
                index += 1
        except video.errors as error:
            raise damage(info.path, index, error) from error
        warn_of_failures(video, index)
