"""What every writer of clips does: frames in, one after the other, and a file that appears when all are written."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from ..core.atomic import replacing
from ..core.errors import UsageError


class FrameWriter(ABC):
    """Writes frames into a file as they come, used as a context; whole or not at all.

    Args:
        path: name of the file.
        frames_per_second: above 0.

    Raises:
        ValueError: another suffix than `suffixes`, or no positive rate.
    """

    kind: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]

    def __init__(self, path: str | os.PathLike[str], frames_per_second: float) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in self.suffixes:
            raise UsageError(f"`path` must end in {', '.join(self.suffixes)}, got {self.path}")
        check_rate(frames_per_second)
        self.rate: float | Fraction = frames_per_second
        self.num_frames = 0
        self._size: tuple[int, int] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._open(self._stack.enter_context(replacing(self.path)))
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
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
            raise UsageError(f"`frame` must be uint8 (height, width, 3), got {frame.dtype} of shape {frame.shape}.")
        self._size = self._size or (frame.shape[0], frame.shape[1])
        if frame.shape[:2] != self._size:
            raise UsageError(f"`frame` must have the first frame's size {self._size}, got {frame.shape[:2]}.")
        self._append(frame, self.num_frames / self.rate if time is None else time)
        self.num_frames += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: Any) -> None:
        if kind is not None:
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if not self.num_frames:
                raise UsageError(f"{self.kind} needs at least one frame, got none: {self.path}")
            self._finish()

    @abstractmethod
    def _open(self, partial: Path) -> None:
        """Begins the file under the name that it has until it is whole; `_stack` closes what is opened."""

    @abstractmethod
    def _append(self, frame: np.ndarray, seconds: float | Fraction) -> None:
        """Takes the next frame, which is shown so many seconds after the first."""

    @abstractmethod
    def _finish(self) -> None:
        """Writes what is left."""


def check_rate(frames_per_second: float) -> None:
    """Raises ValueError for a rate that is not above 0."""
    if not 0 < frames_per_second < float("inf"):
        raise UsageError(f"`frames_per_second` must be above 0, got {frames_per_second}.")
