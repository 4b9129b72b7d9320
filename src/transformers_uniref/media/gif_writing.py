"""Animated GIFs of any length, one frame in memory at a time."""

from __future__ import annotations

import os
import struct
from contextlib import AbstractContextManager, ExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np
from PIL import Image

from .atomic import replacing
from .frame_check import checked_frame

_SHORTEST = 2
"""Hundredths of a second: browsers show frames of 0.01 s for 0.1 s."""


class GifWriter(AbstractContextManager["GifWriter"]):
    """Writes frames into a GIF that loops; the file appears under its name only when all are written.

    `Image.save(save_all=True)` keeps all frames until the end; here each is written when the next one comes, which
    says how long it is shown. Every frame has 256 colours of its own. GIF counts in hundredths of a second and shows at
    most 50 frames a second: of a faster clip, frames are left out, so that it plays at its own speed.

    Args:
        path: a name that ends in `.gif`.
        frames_per_second: above 0.

    Raises:
        ValueError: another suffix, or no positive rate.
    """

    def __init__(self, path: str | os.PathLike[str], frames_per_second: float) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".gif":
            raise ValueError(f"`path` must end in .gif, got {self.path}")
        if not 0 < frames_per_second < float("inf"):
            raise ValueError(f"`frames_per_second` must be above 0, got {frames_per_second}.")
        self.rate = frames_per_second
        self.num_frames = 0
        self._waiting: tuple[int, np.ndarray] | None = None
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None
        self._begun = False

    def __enter__(self) -> GifWriter:
        partial = self._stack.enter_context(replacing(self.path))
        self._file = self._stack.enter_context(partial.open("wb"))
        return self

    def write(self, frame: np.ndarray, time: float | None = None) -> None:
        """Appends one frame.

        Args:
            frame: uint8 RGB (H, W, 3), of the first one's size.
            time: seconds after the first frame at which it is shown, later than the frame before it; default: the
                frames follow each other at the writer's rate.

        Raises:
            ValueError: another type, shape or size.
        """
        frame = checked_frame(frame, None if self._waiting is None else self._waiting[1].shape[:2])
        moment = round(100 * (self.num_frames / self.rate if time is None else time))
        self.num_frames += 1
        if self._waiting is not None:
            before, picture = self._waiting
            if moment - before < _SHORTEST:
                return
            self._append(picture, moment - before)
        self._waiting = (moment, frame)

    def _append(self, frame: np.ndarray, hundredths: int) -> None:
        assert self._file is not None
        if not self._begun:
            self._file.write(_head(frame.shape[1], frame.shape[0]))
            self._begun = True
        self._file.write(_frame_blocks(frame, min(max(hundredths, _SHORTEST), 65535)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if self._waiting is None or self._file is None:
                raise ValueError(f"an animation needs at least one frame, got none: {self.path}")
            self._append(self._waiting[1], round(100 / self.rate))
            self._file.write(b";")


# The blocks are those of the GIF89a specification (CompuServe, 1990).
def _head(width: int, height: int) -> bytes:
    """Signature, a screen without a colour table of its own, and the extension that repeats the frames for ever."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0) + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


def _frame_blocks(frame: np.ndarray, hundredths: int) -> bytes:
    """A frame with its time and its colours: a GIF of this frame alone, whose colour table becomes the frame's own."""
    buffer = BytesIO()
    Image.fromarray(frame).quantize(256).save(buffer, "GIF", interlace=0)
    alone = buffer.getvalue()
    power = alone[10] & 7
    image = 13 + 3 * 2 ** (power + 1)
    descriptor = alone[image : image + 9] + bytes([0x80 | power])
    control = b"!\xf9\x04" + struct.pack("<BHBB", 0x04, hundredths, 0, 0)
    return control + descriptor + alone[13:image] + alone[image + 10 : -1]
