"""Animated GIFs of any length, one frame in memory at a time, small enough to send."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from ..core.errors import UsageError
from ..core.mask_boxes import box_around
from .frame_writer import FrameWriter

DEFAULT_LONGEST_SIDE = 480
MOST_COLOURS = 256
_LADDER = (128, 64, 32, 16)
"""Numbers of colours that are tried where none is asked for."""

_BYTES_PER_PIXEL = 0.42
"""What a frame may take on average: 48 frames of 480x270 pixels then fit into 3 MB, also where the camera moves."""

_FRAMES_AHEAD = 4
"""As many frames' bytes may be spent before their time: the first frame is whole, and much of it stays."""

_UNSEEN = 8
"""A pixel whose red, green and blue differ by no more, of 255, from what it shows is not written again."""

_SHORTEST = 2
"""Hundredths of a second: browsers show frames of 0.01 s for 0.1 s."""


class GifWriter(FrameWriter):
    """Writes frames into a GIF that loops; the file appears under its name only when all are written.

    `Image.save(save_all=True)` keeps all frames until the end, and PyAV is an extra, whose encoder leaves it to its
    callers to choose colours; here each frame is written when the next one comes, which says how long it is shown.
    Only what changed is written, in colours of the frame's own. GIF counts in hundredths of a second and shows at most
    50 frames a second: of a faster clip, frames are left out, so that it plays at its own speed.

    Args:
        path: a name that ends in `.gif`.
        frames_per_second: above 0.
        longest_side: larger frames are shrunk to it, in pixels; None keeps their size.
        colours: the most that a frame has, 2 to 256; None: 128, and as few as 16 where the frames would take more than
            0.42 bytes a pixel on average.

    Raises:
        ValueError: another suffix, no positive rate, a side below 1, or a number of colours out of range.
    """

    kind, suffixes = "an animation", (".gif",)

    def __init__(
        self,
        path: str | os.PathLike[str],
        frames_per_second: float,
        *,
        longest_side: int | None = DEFAULT_LONGEST_SIDE,
        colours: int | None = None,
    ) -> None:
        super().__init__(path, frames_per_second)
        if longest_side is not None and longest_side < 1:
            raise UsageError(f"`longest_side` must be 1 or more, or None to keep the size, got {longest_side}.")
        if colours is not None and not 2 <= colours <= MOST_COLOURS:
            raise UsageError(f"`colours` must be from 2 to {MOST_COLOURS}, or None, got {colours}.")
        self.longest_side = longest_side
        self._waiting: tuple[int, np.ndarray] | None = None
        self._shown: np.ndarray | None = None
        self._allowance = 0.0
        self._ladder = _LADDER if colours is None else (colours,)
        self._rung = 0
        self._file: IO[bytes] | None = None

    def _open(self, partial: Path) -> None:
        self._file = self._stack.enter_context(partial.open("wb"))

    def _append(self, frame: np.ndarray, seconds: float | Fraction) -> None:
        moment = round(100 * seconds)
        if self._waiting is not None:
            before, picture = self._waiting
            if moment - before < _SHORTEST:
                return
            self._write_blocks(picture, moment - before)
        self._waiting = (moment, frame if self.longest_side is None else shrunk(frame, self.longest_side))

    def _write_blocks(self, frame: np.ndarray, hundredths: int) -> None:
        assert self._file is not None
        budget = _BYTES_PER_PIXEL * frame.shape[0] * frame.shape[1]
        if self._shown is None:
            self._file.write(_head(frame.shape[1], frame.shape[0]))
            self._shown = np.zeros_like(frame)
            self._allowance = _FRAMES_AHEAD * budget
            changed = np.ones(frame.shape[:2], dtype=bool)
        else:
            changed = (np.abs(frame.astype(np.int16) - self._shown) > _UNSEEN).any(-1)
        self._allowance += budget
        # What was meant to be shown is remembered, not the nearest colour: else that would be written time and again.
        self._shown[changed] = frame[changed]
        time = min(max(hundredths, _SHORTEST), 65535)
        # One step better than the frame before, so that few are tried and colours do not flicker.
        for rung in range(max(0, self._rung - 1), len(self._ladder)):
            blocks = _frame_blocks(frame, changed, self._ladder[rung], time)
            self._rung = rung
            if len(blocks) <= self._allowance:
                break
        self._allowance -= len(blocks)
        self._file.write(blocks)

    def _finish(self) -> None:
        assert self._file is not None and self._waiting is not None
        self._write_blocks(self._waiting[1], round(100 / self.rate))
        self._file.write(b";")


def shrunk(frame: np.ndarray, longest_side: int) -> np.ndarray:
    """A picture, uint8 (H, W, 3), whose longer side is `longest_side` pixels at most; smaller ones stay as they are."""
    if max(frame.shape[:2]) <= longest_side:
        return frame
    picture = Image.fromarray(frame)
    picture.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


# The blocks are those of the GIF89a specification (CompuServe, 1990).
def _head(width: int, height: int) -> bytes:
    """Signature, a screen without a colour table of its own, and the extension that repeats the frames for ever."""
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0) + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


def _frame_blocks(frame: np.ndarray, changed: np.ndarray, colours: int, hundredths: int) -> bytes:
    """The changed part of a frame with its time and its colours, of which the first is the transparent one.

    The frame is written as a GIF of that part alone, whose colour table becomes the frame's own.
    """
    box = box_around(changed)
    left, top, right, bottom = box or (0, 0, 1, 1)
    window = (slice(top, bottom), slice(left, right))
    inside = changed[window]
    opaque = bool(inside.all())
    places = np.zeros(inside.shape, dtype=np.uint8)
    table = np.zeros((1, 3), dtype=np.uint8)
    if box:
        own, indices = _reduced(frame[window][inside], colours - (not opaque))
        places[inside] = indices + (not opaque)
        table = own if opaque else np.concatenate([table, own])
    picture = Image.fromarray(places)
    picture.putpalette(table.tobytes())
    buffer = BytesIO()
    picture.save(buffer, "GIF", interlace=0)
    alone = buffer.getvalue()
    power = alone[10] & 7
    image = 13 + 3 * 2 ** (power + 1)
    place = struct.pack("<HHHH", left, top, right - left, bottom - top)
    control = b"!\xf9\x04" + struct.pack("<BHBB", 0x04 | (not opaque), hundredths, 0, 0)
    return control + b"," + place + bytes([0x80 | power]) + alone[13:image] + alone[image + 10 : -1]


def _reduced(pixels: np.ndarray, colours: int) -> tuple[np.ndarray, np.ndarray]:
    """A table of colours (n, 3) for pixels (N, 3), and the place (N,) of each in it.

    Pixels are grouped by their five upper bits, thirty times as fast as by all eight; a group's colour is the mean of
    what is in it.
    """
    grouped = Image.fromarray((pixels & 0xF8 | 4)[None]).quantize(colours)
    indices = np.asarray(grouped)[0]
    sizes = np.bincount(indices)
    sums = np.stack([np.bincount(indices, weights=pixels[:, channel]) for channel in range(3)], axis=-1)
    return np.rint(sums / np.maximum(sizes, 1)[:, None]).astype(np.uint8), indices
