"""The frames of a clip, one at a time, whatever the clip came as. Nothing is decoded before it is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch

from ...core.errors import KindError, UsageError
from ...core.picture_input import rgb_array


class VideoFrames(Sequence[np.ndarray]):
    """The frames of a clip as uint8 RGB arrays (H, W, 3) of one size.

    Args:
        video: a list of pictures (see `inputs.rgb_array`), an array (T, H, W, 3), a tensor (T, 3, H, W), a directory of
            pictures (read in the order of their names), or a clip's file (needs PyAV, the `video` extra). Frame n of a
            file is the n-th that reading it in order gives.
        damaged: what to do with a video file that is damaged or cut off: "refuse" it with an error, or "keep" what can
            be decoded, with a warning that says what was left out.

    Raises:
        TypeError: none of these.
        FileNotFoundError: there is nothing at this path.
        ValueError: no frames; an unreadable file; on access, a frame that differs in size from the first.

    Attributes:
        size: (height, width) of a frame, in the pixels that are stored.
        pixel_aspect: width of a pixel by its height, as it is to be shown; not 1 for files of old camcorders, DVDs and
            broadcasts.
    """

    def __init__(self, video: Any, damaged: Literal["refuse", "keep"] = "refuse") -> None:
        self._source = _frame_source(video, damaged)
        if len(self._source) == 0:
            raise UsageError("`video` has no frames.")
        self.pixel_aspect = Fraction(getattr(self._source, "pixel_aspect", 1))
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
            raise UsageError(
                f"`video` must have frames of one size: frame {index} has (height, width) = {frame.shape[:2]}, the "
                f"first {self.size}."
            )
        return frame


def _frame_source(video: Any, damaged: Literal["refuse", "keep"]) -> Sequence[Any]:
    if isinstance(video, (str, os.PathLike)):
        return _stored_frames(Path(video), damaged)
    if isinstance(video, (np.ndarray, torch.Tensor)):
        if video.ndim != 4:
            raise UsageError(
                f"`video` as an array must be (T, H, W, 3) or (T, 3, H, W), got shape {tuple(video.shape)}."
            )
        return video  # type: ignore[return-value]
    if isinstance(video, Sequence) and not isinstance(video, (bytes, bytearray, memoryview)):
        return video
    raise KindError(
        "`video` must be a list of frames, an array (T, H, W, 3), a directory, a clip's file or None (streaming), "
        f"got {type(video).__name__}."
    )


def _stored_frames(path: Path, damaged: Literal["refuse", "keep"]) -> Sequence[Any]:
    from .io import NumberedFrames, probe_clip, read_frames

    info = probe_clip(path, damaged)
    if info.kind == "frames":
        return info.files
    return NumberedFrames(path, damaged) if info.kind == "video" else list(read_frames(path))
