"""The frames of a clip, one at a time, whatever the clip came as. Nothing is decoded before it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from ..optional import require
from .inputs import rgb_array


class VideoFrames(Sequence[np.ndarray]):
    """The frames of a clip as uint8 RGB arrays (H, W, 3) of one size.

    Args:
        video: a list of pictures (see `inputs.rgb_array`), an array (T, H, W, 3), a tensor (T, 3, H, W), a directory of
            pictures (read in the order of their names), or a clip's file (needs PyAV, the `video` extra).

    Raises:
        TypeError: none of these.
        FileNotFoundError: there is nothing at this path.
        ValueError: no frames; an unreadable file; on access, a frame that differs in size from the first.

    Attributes:
        size: (height, width).
    """

    def __init__(self, video: Any) -> None:
        self._source = _frame_source(video)
        if len(self._source) == 0:
            raise ValueError("`video` has no frames.")
        first = rgb_array(self._source[0], "video")
        self.size = (int(first.shape[0]), int(first.shape[1]))

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"`video` has {len(self)} frames, frame {index} was asked for.")
        index %= len(self)
        frame = rgb_array(self._source[index], "video")
        if frame.shape[:2] != self.size:
            raise ValueError(
                f"`video` must have frames of one size: frame {index} has (height, width) = {frame.shape[:2]}, the "
                f"first {self.size}."
            )
        return frame


def _frame_source(video: Any) -> Sequence[Any]:
    if isinstance(video, (str, os.PathLike)):
        return _stored_frames(Path(video))
    if isinstance(video, (np.ndarray, torch.Tensor)):
        if video.ndim != 4:
            raise ValueError(
                f"`video` as an array must be (T, H, W, 3) or (T, 3, H, W), got shape {tuple(video.shape)}."
            )
        return video  # type: ignore[return-value]
    if isinstance(video, Sequence):
        return video
    raise TypeError(
        "`video` must be a list of frames, an array (T, H, W, 3), a directory, a clip's file or None (streaming), "
        f"got {type(video).__name__}."
    )


def _stored_frames(path: Path) -> Sequence[Any]:
    from ..media.video_io import frame_files, probe_clip, read_frames

    kind = probe_clip(path).kind
    if kind == "frames":
        return frame_files(path)
    return ClipFrames(path) if kind == "video" else list(read_frames(path))


class ClipFrames(Sequence[np.ndarray]):
    """The frames of a video file, decoded when asked for, in any order; reading on from the last one is cheap.

    Raises:
        MissingExtraError: PyAV is not installed.
        ValueError: damaged, or no frames.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container: Any = None
        self._decoded: Iterator[Any] = iter(())
        self._next = 0
        self._last: np.ndarray | None = None
        av = _pyav()
        try:
            with av.open(str(path)) as container:
                packets = container.demux(container.streams.video[0])
                self._times = sorted(packet.pts for packet in packets if packet.pts is not None and packet.size)
        except (av.FFmpegError, IndexError) as error:
            raise ValueError(f"`video` is damaged, or has no picture stream: {path} ({error})") from error

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, index: Any) -> Any:
        if self._last is None or index != self._next - 1:
            self._last = self._read(index)
            self._next = index + 1
        return self._last

    def _read(self, index: int) -> np.ndarray:
        av = _pyav()
        try:
            if self._container is None or index != self._next:
                self._seek(av, index)
            for frame in self._decoded:
                if frame.pts is None or frame.pts >= self._times[index]:
                    upright = np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90))
                    return np.ascontiguousarray(upright)
        except av.FFmpegError as error:
            raise ValueError(f"`video` is damaged at frame {index}: {self.path} ({error})") from error
        raise ValueError(f"`video` is damaged: it ends before frame {index} of {len(self)}: {self.path}")

    def _seek(self, av: Any, index: int) -> None:
        self.close()
        self._container = av.open(str(self.path))
        stream = self._container.streams.video[0]
        stream.thread_type = "AUTO"
        if index > 0:
            # Lands on the key frame before it; decoding goes on from there.
            self._container.seek(self._times[index], stream=stream, backward=True)
        self._decoded = self._container.decode(stream)

    def close(self) -> None:
        """Closes the file; a later access opens it again."""
        if self._container is not None:
            self._container.close()
            self._container = None


def _pyav() -> Any:
    return require("av", "video", "reading video files")
