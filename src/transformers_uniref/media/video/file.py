"""A video file in decoding order: the one place where such files are opened and decoded.

Everything that reads a video goes through `VideoFile`: `read_clip` from the first frame on, `NumberedFrames` from
wherever a frame can be begun.
"""

from __future__ import annotations

import functools
import warnings
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias

import numpy as np

from ...core.errors import UsageError
from ...core.optional import require
from ...core.picture_input import rgb_array
from ..clips.kinds import ACCEPTED

Damaged: TypeAlias = 'Literal["refuse", "keep"]'
"""What to do with a file that is damaged or cut off: refuse it, or keep what can be decoded, with a warning."""

SQUARE = Fraction(1)
_FLATTEST, _NARROWEST = Fraction(10), Fraction(1, 10)
"""Pixels of more extreme shapes are errors of the file, not of a camera."""

_MOST_IN_DECODER = 1024
"""Packets whose frames may still come: more than any codec reorders and than there are threads."""


def pyav() -> ModuleType:
    """PyAV, which brings FFmpeg.

    Raises:
        MissingExtraError: it is not installed.
    """
    return require("av", "video", "reading and writing video files")


class VideoFile:
    """An open video file and its picture stream. Used as a context, or closed by `close`.

    The stream is the one that the container marks as its default, else the first; cover pictures and thumbnails of
    music and film files are not streams of pictures.

    Args:
        path: of the file.
        damaged: "refuse" raises an error where decoding fails; "keep" leaves out what cannot be decoded, and counts it
            in `failures`.

    Raises:
        MissingExtraError: PyAV is not installed.
        ValueError: no container that FFmpeg knows, damaged, or without pictures.

    Attributes:
        container, stream: PyAV's.
        errors: what decoding raises.
        failures: how many packets could not be decoded so far.
    """

    def __init__(self, path: Path, damaged: Damaged = "refuse") -> None:
        self.path = path
        self.failures = 0
        # The times of the packets that the decoder may still hold, with their numbers, which follow each other.
        self._times: deque[tuple[int, int | None]] = deque(maxlen=_MOST_IN_DECODER)
        if damaged not in ("refuse", "keep"):
            raise UsageError(f'`damaged` must be "refuse" or "keep", got {damaged!r}.')
        self._av = pyav()
        self.errors: tuple[type[Exception], ...] = (self._av.FFmpegError, EOFError)
        self._keep = damaged == "keep"
        try:
            # With its protocol said, a name may hold a colon.
            self.container: Any = self._av.open(f"file:{path}")
        except self._av.FFmpegError as error:
            raise UsageError(
                f"`video` must be {ACCEPTED}; this is none of them, or damaged: {path} ({error.strerror or error})"
            ) from error
        try:
            self.stream: Any = _picture_stream(self.container, path)
        except ValueError:
            self.container.close()
            raise
        self.stream.thread_type = "AUTO"
        # One for all frames: setting one up costs more than using it. The frames are decoded by several threads
        # already.
        self._converter: Any = self._av.video.reformatter.VideoReformatter()

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    # --------------------------------------------------------------------------------------------------------- decoding
    def packets(self) -> Iterator[Any]:
        """The stream's packets from here on, without the empty ones that some containers hold for repeated frames."""
        packets = self.container.demux(self.stream)
        while True:
            try:
                packet = next(packets, None)
            except self.errors as error:
                self._fail(error)
                return
            if packet is None:
                return
            if packet.size:
                yield packet

    def frames(self, packets: Iterator[Any] | None = None, first: int = 0) -> Iterator[tuple[Any, int | None]]:
        """Decodes packets.

        Args:
            packets: see `packets`; default: all from here on.
            first: the number of the first of them, in the order of the file.

        Yields:
            A frame of PyAV's, and the number of the packet that holds it; None where the decoder does not tell.

        Raises:
            one of `errors`: damaged, and to be refused.
        """
        self._times.clear()
        for number, packet in enumerate(self.packets() if packets is None else packets, first):
            self._times.append((number, packet.pts))
            # Decoders hand the time of a packet on to its frame, and look at it no further: it carries the number.
            # (PyAV's `opaque`, which is made for this, can lock up when a file is closed.)
            packet.pts = number
            yield from self._decoded(packet)
        yield from self._decoded(None)

    def _decoded(self, packet: Any | None) -> Iterator[tuple[Any, int | None]]:
        try:
            frames = self.stream.codec_context.decode(packet)
        except self.errors as error:
            self._fail(error)
            return
        for frame in frames:
            number = frame.pts
            frame.pts = self._time_of(number)
            yield frame, number

    def _time_of(self, number: int | None) -> int | None:
        if number is None or not self._times or not 0 <= (place := number - self._times[0][0]) < len(self._times):
            return None
        return self._times[place][1]

    def _fail(self, error: Exception) -> None:
        if not self._keep:
            raise error
        self.failures += 1

    # --------------------------------------------------------------------------------------------------- what is shown
    def time(self, frame: Any) -> float | None:
        """Seconds at which a frame is shown, in the container's count; None where the container does not say."""
        return None if frame.pts is None else float(frame.pts * self.stream.time_base)

    def picture(self, frame: Any) -> np.ndarray:
        """A decoded frame as RGB, uint8 (H, W, 3), turned and mirrored as the container says, alpha over white."""
        transparent = _has_alpha(frame.format.name)
        pixels = self._converted(frame, "rgba" if transparent else "rgb24")
        if transparent:
            # Where nothing is visible at all the channel was left empty, as in many files of 32 bits a pixel.
            pixels = rgb_array(pixels, "video") if pixels[..., 3].any() else pixels[..., :3]
        across, mirrored, upside_down = _orientation(frame)
        if across:
            pixels = pixels.transpose(1, 0, 2)
        return np.ascontiguousarray(pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1])

    def _converted(self, frame: Any, form: str) -> np.ndarray:
        try:
            return self._converter.reformat(frame, format=form, threads=1).to_ndarray()
        except TypeError:  # older PyAV converts by one thread anyway
            return self._converter.reformat(frame, format=form).to_ndarray()

    def pixel_aspect(self, frame: Any) -> Fraction:
        """Width of a pixel of `picture` by its height, as it is to be shown; 1 where the container does not say."""
        ratio = self.stream.sample_aspect_ratio
        if not ratio or ratio == 1 or not _NARROWEST <= ratio <= _FLATTEST:
            return SQUARE
        return 1 / Fraction(ratio) if _orientation(frame)[0] else Fraction(ratio)


def damage(path: Path, index: int, error: Exception) -> ValueError:
    """The error of a file that could be decoded up to frame `index`."""
    told = getattr(error, "strerror", None) or error
    return UsageError(f'`video` is damaged at frame {index} (damaged="keep" reads the rest): {path} ({told})')


def warn_of_failures(video: VideoFile, count: int) -> None:
    """Says what was left out of a damaged file of which `count` frames were read."""
    if video.failures:
        warnings.warn(
            f"`video` is damaged: {video.failures} packets could not be decoded, {count} frames were: {video.path}",
            stacklevel=3,
        )


@functools.cache
def _has_alpha(pixel_format: str) -> bool:
    form = pyav().VideoFormat(pixel_format, 2, 2)
    return form.has_palette or any(component.is_alpha for component in form.components)


def _picture_stream(container: Any, path: Path) -> Any:
    streams = [stream for stream in container.streams.video if not _is_still(stream)]
    if not streams:
        raise UsageError(f"`video` has no picture stream (sound only?): {path}")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise UsageError(f"`video` is coded in a way that the installed FFmpeg does not know: {path}")
    default = [stream for stream in known if stream.disposition & type(stream.disposition).default]
    return (default or known)[0]


def _is_still(stream: Any) -> bool:
    """Whether a stream of pictures is the cover picture of a music file, or thumbnails of a film."""
    kinds = type(stream.disposition)
    return bool(stream.disposition & (kinds.attached_pic | kinds.timed_thumbnails))


def _orientation(frame: Any) -> tuple[bool, bool, bool]:
    """How stored pixels become upright: (rows and columns exchanged first, then mirrored, then turned upside down).

    The display matrix (ISO 14496-12, 8.3.2) takes the point (x, y) to (a x + c y, b x + d y); the nearest of the eight
    ways to lay a picture on the grid of pixels is taken.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    across = abs(b) + abs(c) > abs(a) + abs(d)
    to_x, to_y = (c, b) if across else (a, d)
    return across, to_x < 0, to_y < 0
