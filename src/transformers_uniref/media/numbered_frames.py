"""The frames of a video file by their number, in any order."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UsageError
from .video.file import Damaged, VideoFile, damage
from .video.index import NO_TIME, VideoIndex, fingerprint, index_video

BYTES_KEPT = 64 * 2**20
"""Decoded frames that are kept while a clip is read backwards, so that a group of pictures is not decoded again for
each of its frames."""


_OPENING = 8
"""As many packets are decoded in the time that it takes to open a file and to seek in it."""


class NumberedFrames(Sequence[np.ndarray]):
    """The frames of a video file, decoded when asked for; frame n is the n-th that decoding in order gives.

    Reading on is as cheap as reading in order, going back costs at most one group of pictures. It can be pickled and
    copied: a copy opens the file anew. Threads may share it.

    Args:
        path: of the file.
        damaged: "refuse" or "keep", see `VideoFile`.

    Raises:
        MissingExtraError: PyAV is not installed.
        ValueError: damaged, or no frames; on access also when the file is no longer the one that was opened.

    Attributes:
        pixel_aspect: width of a pixel by its height, as it is to be shown.
    """

    def __init__(self, path: str | os.PathLike[str], damaged: Damaged = "refuse") -> None:
        self.path = Path(path)
        self.damaged: Damaged = damaged
        self._index: VideoIndex = index_video(self.path, damaged)
        self._prepare()

    def _prepare(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._video: VideoFile | None = None
        self._decoded: Iterator[tuple[Any, int | None]] = iter(())
        # The number that the next decoded frame should have; None when nothing is open.
        self._next: int | None = None
        self._from_start = self._whole = False
        # The packet that was handed to the decoder last.
        self._fed = 0
        self._seeks_well = True
        self._kept: OrderedDict[int, Any] = OrderedDict()
        self._latest = -1

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "damaged": self.damaged, "_index": self._index}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()

    @property
    def pixel_aspect(self) -> Fraction:
        return self._index.pixel_aspect

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"`video` has {len(self)} frames, frame {index} was asked for.")
        with self._lock:
            if self._process != os.getpid():
                # The decoder's threads do not follow into a forked process.
                self._prepare()
            number = int(index) % len(self)
            frame = self._kept.get(number)
            if frame is None:
                frame = self._read(number)
            self._latest = number
            assert self._video is not None
            return self._video.picture(frame)

    def close(self) -> None:
        """Closes the file; a later access opens it again."""
        with self._lock:
            if self._video is not None:
                self._video.close()
            self._prepare()

    # ---------------------------------------------------------------------------------------------------------- reading
    def _read(self, number: int) -> Any:
        """Decodes frame `number`."""
        index = self._index
        frame = self._attempt(number)
        if frame is None and self._index is not index and number < len(self):
            frame = self._attempt(number)
        if frame is not None:
            return frame
        if number < len(self):
            raise UsageError(f"`video` is damaged: it ends before frame {number} of {len(self)}: {self.path}")
        raise UsageError(
            f"`video` has {len(self)} frames, fewer than its container says; frame {number} was asked for: {self.path}"
        )

    def _attempt(self, number: int) -> Any | None:
        """Decodes from where the file stands, from the nearest key frames, and at last from the file's beginning."""
        going_back = number < self._latest
        starts = [*islice(self._index.starts(number), 2), 0]
        if going_back:
            # The frames before it are wanted next, and opening the file is dear where every frame is a key frame.
            packet = int(self._index.shown[number])
            near = list(takewhile(lambda start: packet - start < 2 * _OPENING, self._index.starts(number)))
            starts = [*near[-1:], *starts]
        if self._next is not None and self._next <= number and starts[0] - self._fed <= _OPENING:
            frame = self._forward(number, going_back)
            if frame is not None:
                return frame
        for start in starts:
            index = self._index
            self._land(start)
            frame = self._forward(number, going_back)
            if frame is not None or self._index is not index:
                return frame
        return None

    def _forward(self, number: int, going_back: bool) -> Any | None:
        """Goes on decoding until frame `number`; None when it does not come, or not as it should."""
        assert self._video is not None and self._next is not None
        kept_bytes = 0
        self._kept.clear()
        try:
            for frame, packet in self._decoded:
                if self._is_leading(packet):
                    continue
                if not self._is_expected(packet):
                    break
                current = self._next
                self._next += 1
                self._kept[current] = frame
                kept_bytes += _bytes_of(frame)
                while len(self._kept) > 1 and (not going_back or kept_bytes > BYTES_KEPT):
                    kept_bytes -= _bytes_of(self._kept.popitem(last=False)[1])
                if current == number:
                    if self._is_the_same(number, frame):
                        return frame
                    break
            else:
                if self._from_start and not self._index.counted:
                    self._recount()
        except self._video.errors as error:
            if self._from_start:
                raise damage(self.path, self._next, error) from error
        except _OtherPacket:
            if self._from_start:
                raise self._changed() from None
        self._next = None
        self._kept.clear()
        return None

    def _is_leading(self, packet: int | None) -> bool:
        """Whether a frame comes before the key frame at which decoding began, and is not whole then."""
        if self._from_start or self._whole:
            return False
        self._whole = packet is None or self._index.frame_of[packet] == self._next
        return not self._whole

    def _is_expected(self, packet: int | None) -> bool:
        """Whether the next frame has come; when the container has stated another, the frames are counted."""
        index, number = self._index, self._next
        expected = number is not None and number < len(index) and packet == index.shown[number]
        if not expected and not index.counted:
            self._recount()
        # From the file's beginning on, the count is right whatever the index says.
        return expected or self._from_start

    def _is_the_same(self, number: int, frame: Any) -> bool:
        """Whether the frame has the pixels that it had when the frames were counted."""
        prints = self._index.prints
        return self._from_start or prints is None or number >= len(prints) or fingerprint(frame) == prints[number]

    def _recount(self) -> None:
        self._index = index_video(self.path, self.damaged, decode=True)

    # ---------------------------------------------------------------------------------------------------------- landing
    def _land(self, start: int) -> None:
        """Opens the file such that packet `start` is the next."""
        self._reopen()
        if os.path.getsize(self.path) != self._index.bytes:
            raise self._changed()
        assert self._video is not None
        packets = self._sought(start) if start and self._seeks_well else None
        if packets is None:
            if start and self._seeks_well:
                self._seeks_well = False
                self._reopen()
            packets = islice(self._video.packets(), start, None)
        self._decoded = self._video.frames(self._checked(packets, start), start)
        self._fed = start
        self._from_start = self._whole = start == 0
        self._next = 0 if self._from_start else int(self._index.frame_of[start])

    def _reopen(self) -> None:
        if self._video is not None:
            self._video.close()
        self._kept.clear()
        self._next = None
        if not self.path.is_file():
            raise FileNotFoundError(f"`video` names a file that is gone: {self.path}")
        self._video = VideoFile(self.path, self.damaged)

    def _sought(self, start: int) -> Iterator[Any] | None:
        """The packets from `start` on, found by seeking; None where the container is not good at it.

        Seeking lands near the place that was asked for, if at all: the first packet that is known by its position says
        where that is, and those up to `start` are passed over without decoding them.
        """
        assert self._video is not None
        listed, video = self._index.packets, self._video
        time = int(listed.decoding_times[start])
        try:
            if video.container.format.name in _SOUGHT_BY_TIME and time != NO_TIME:
                video.container.seek(time, stream=video.stream, backward=True)
            else:
                # Where packets are cut out of a stream of bytes, the first ones after a seek are cut elsewhere.
                before = listed.positions[: max(0, start - 3)]
                known = [0, 0, *before[before >= 0][-2:].tolist()]
                video.container.seek(known[-2], unsupported_byte_offset=True, stream=video.stream)
        except video.errors:
            return None
        packets = video.packets()
        for packet in packets:
            number = self._index.packet_at(packet.pos, packet.size, packet.pts)
            if number is not None:
                if number > start:
                    return None
                return islice(self._checked(chain([packet], packets), number), start - number, None)
        return None

    def _checked(self, packets: Iterator[Any], start: int) -> Iterator[Any]:
        """Passes packets on that are those of the index."""
        sizes = self._index.packets.sizes
        for number, packet in enumerate(packets, start):
            if number >= len(sizes) or packet.size != sizes[number]:
                raise _OtherPacket
            self._fed = number
            yield packet

    def _changed(self) -> ValueError:
        return UsageError(f"`video` has changed since it was opened: {self.path}")


class _OtherPacket(Exception):
    """What was read is not what the index lists."""


_SOUGHT_BY_TIME = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv", "asf", "mxf", "nut", "ogg"}


def _bytes_of(frame: Any) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
