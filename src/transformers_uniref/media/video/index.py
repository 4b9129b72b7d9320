"""Which frame has which number in a video file, and where its decoding can begin.

Frame number n is the n-th that decoding the file from its first packet gives. Containers do not say which that is:
their times may be missing, wrong or those of frames that are never shown, and some key frames are none. So the file is
decoded once and its frames are counted, unless its container and codec are known to tell (`_TELLING`): then its packets
are listed without decoding them, and only if every one of them is as it should be. `NumberedFrames` holds the list
against what it decodes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import UsageError
from .file import Damaged, VideoFile, damage, warn_of_failures

UNKNOWN = -1
NO_TIME = int(np.iinfo(np.int64).min)

# Containers with exact times for every packet, and codecs of which every packet gives one frame.
_TELLING = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"}
_ONE_FRAME_A_PACKET = {"h264", "hevc", "vp9", "av1", "libdav1d", "mjpeg", "prores", "dnxhd"}


@dataclass(frozen=True)
class Packets:
    """The packets of a stream, in the order of the file; int64 arrays of one length.

    Attributes:
        sizes: in bytes.
        positions: bytes before them, -1 where unknown.
        times: presentation times in the stream's unit, `NO_TIME` where unknown.
        decoding_times: the same of the decoding times.
        keys: numbers of the packets that are marked as key frames, ascending; a shorter array.
    """

    sizes: np.ndarray
    positions: np.ndarray
    times: np.ndarray
    decoding_times: np.ndarray
    keys: np.ndarray


@dataclass(frozen=True)
class VideoIndex:
    """Which packet holds which frame.

    Attributes:
        packets: all of the stream.
        shown: for each frame the number of its packet, -1 where the decoder did not tell.
        prints: for each frame a checksum (see `fingerprint`); None when the index was made without decoding.
        pixel_aspect: width of a pixel by its height.
        bytes: the file's size.
    """

    packets: Packets
    shown: np.ndarray
    prints: np.ndarray | None
    pixel_aspect: Fraction
    bytes: int
    frame_of: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # The number of the frame in each packet, -1 for none.
        frame_of = np.full(len(self.packets.sizes), UNKNOWN, np.int64)
        known = self.shown >= 0
        frame_of[self.shown[known]] = np.flatnonzero(known)
        object.__setattr__(self, "frame_of", frame_of)

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def counted(self) -> bool:
        """Whether the frames were decoded and counted."""
        return self.prints is not None

    def starts(self, number: int) -> Iterator[int]:
        """Packets from which on decoding gives frame `number`, the nearest first.

        Of a key frame that is shown after the wanted frame, the latter may need what comes before: open groups of
        pictures.
        """
        packet = int(self.shown[number])
        keys = self.packets.keys
        for place in range(int(np.searchsorted(keys, packet, side="right")) - 1, -1, -1):
            key = int(keys[place])
            if 0 <= self.frame_of[key] <= number:
                yield key

    def packet_at(self, position: int | None, size: int, time: int | None) -> int | None:
        """The number of the packet of this place and size, told from others like it by its time; None in doubt."""
        if position is None or position < 0:
            return None
        same = np.flatnonzero((self.packets.positions == position) & (self.packets.sizes == size))
        if len(same) > 1 and time is not None:
            same = same[self.packets.times[same] == time]
        return int(same[0]) if len(same) == 1 else None


def index_video(path: Path, damaged: Damaged = "refuse", *, decode: bool = False) -> VideoIndex:
    """Finds out which frame has which number.

    Args:
        path: of the file.
        damaged: see `VideoFile`.
        decode: count the frames by decoding them, whatever the container says.

    Raises:
        ValueError: no frames, or damaged.
        MissingExtraError: PyAV is not installed.
    """
    # What is damaged tells nothing.
    stated = None if decode or damaged == "keep" else _stated_index(path)
    return stated or _counted_index(path, damaged)


def fingerprint(frame: Any) -> int:
    """A checksum of every fourth row of a decoded frame's first plane: brightness, or one of the colours."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8)
    lines = rows[: plane.height * plane.line_size].reshape(plane.height, plane.line_size)[::4]
    # What is behind the width is not part of the picture.
    width = min(plane.line_size, plane.width * (1 + (frame.format.components[0].bits > 8)))
    return zlib.crc32(lines[:, :width].tobytes())


class _Listing:
    """Collects packets as they pass."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int, int]] = []
        self._keys: list[int] = []

    def add(self, packet: Any) -> None:
        if packet.is_keyframe:
            self._keys.append(len(self._rows))
        self._rows.append(
            (
                packet.size,
                UNKNOWN if packet.pos is None else packet.pos,
                NO_TIME if packet.pts is None else packet.pts,
                NO_TIME if packet.dts is None else packet.dts,
            )
        )

    def passing(self, packets: Iterator[Any]) -> Iterator[Any]:
        for packet in packets:
            self.add(packet)
            yield packet

    def packets(self) -> Packets:
        sizes, positions, times, decoding_times = np.array(self._rows, np.int64).reshape(-1, 4).T.copy()
        return Packets(sizes, positions, times, decoding_times, np.array(self._keys, np.int64))


def _counted_index(path: Path, damaged: Damaged) -> VideoIndex:
    """Decodes the file once."""
    listing = _Listing()
    shown: list[int] = []
    prints: list[int] = []
    aspect = Fraction(1)
    with VideoFile(path, damaged) as video:
        try:
            for frame, packet in video.frames(listing.passing(video.packets())):
                if not shown:
                    aspect = video.pixel_aspect(frame)
                shown.append(UNKNOWN if packet is None else packet)
                prints.append(fingerprint(frame))
        except video.errors as error:
            raise damage(path, len(shown), error) from error
        warn_of_failures(video, len(shown))
    if not shown:
        raise UsageError(f"`video` has no frames: {path}")
    return VideoIndex(
        listing.packets(),
        np.array(shown, np.int64),
        np.array(prints, np.uint32),
        aspect,
        os.path.getsize(path),
    )


def _stated_index(path: Path) -> VideoIndex | None:
    """What the container says, or None where that is no proof."""
    with VideoFile(path) as video:
        codec = video.stream.codec_context.name
        if video.container.format.name not in _TELLING or codec not in _ONE_FRAME_A_PACKET:
            return None
        listing = _Listing()
        is_sound = _packet_check(video)
        try:
            for packet in video.packets():
                if packet.is_discard or packet.is_corrupt or not is_sound(packet):
                    return None
                listing.add(packet)
        except video.errors:
            return None
    packets = listing.packets()
    times = packets.times
    if not len(times) or times[0] == NO_TIME:
        return None
    # Each frame has a time of its own, and the first is a key frame that nothing comes before.
    in_order = np.argsort(times, kind="stable")
    if (np.diff(times[in_order]) <= 0).any() or in_order[0] != 0 or not len(packets.keys) or packets.keys[0] != 0:
        return None
    with VideoFile(path) as video:
        try:
            first = next(video.frames(), None)
        except video.errors:
            return None
        # Interlaced frames may come in two packets, one for each half.
        if first is None or first[1] != 0 or first[0].interlaced_frame:
            return None
        return VideoIndex(
            packets,
            in_order,
            None,
            video.pixel_aspect(first[0]),
            os.path.getsize(path),
        )


def _packet_check(video: VideoFile) -> Any:
    """Whether a packet is what its marks say: a key frame from which decoding can begin, a frame that is shown."""
    codec = video.stream.codec_context.name
    if codec == "vp9":
        return _vp9_is_shown
    if codec not in ("h264", "hevc"):
        return lambda packet: True
    head = video.stream.codec_context.extradata or b""
    avc = codec == "h264"
    # The codec's own description (ISO 14496-15) says how many bytes a unit's length has.
    if not head or head[0] != 1 or len(head) < (5 if avc else 22):
        return lambda packet: False
    width = 1 + (head[4 if avc else 21] & 3)

    def is_sound(packet: Any) -> bool:
        if not packet.is_keyframe:
            return True
        kinds = [byte & 31 if avc else byte >> 1 & 63 for byte in _unit_heads(bytes(packet), width)]
        # H.264: an instantaneous refresh (5), not a picture at which a gradual one begins. HEVC: an instantaneous
        # refresh (19, 20) or clean random access (21), not a broken link, whose leading pictures are dropped.
        return 5 in kinds if avc else bool({19, 20, 21} & set(kinds))

    return is_sound


def _unit_heads(data: bytes, width: int) -> Iterator[int]:
    """The first byte of each unit of a packet, which says what it is."""
    place = 0
    while place + width < len(data):
        yield data[place + width]
        place += width + int.from_bytes(data[place : place + width], "big")


def _vp9_is_shown(packet: Any) -> bool:
    """Whether a VP9 packet holds a frame that is shown (VP9 bitstream specification, 6.2 and annex B)."""
    data = memoryview(packet)
    if data[-1] & 0xE0 == 0xC0:  # several frames, of which the last is shown
        return True
    bits = data[0] << 8 | (data[1] if len(data) > 1 else 0)
    shift = 11 - ((bits >> 12 & 3) == 3)  # profile 3 has a bit more
    existing = bits >> shift & 1
    return bool(existing or bits >> (shift - 2) & 1)
