"""Whether a video file ends before its end, told by the sizes that its container declares.

Decoders take much of a file that was cut off, by a broken download or a full disk, and end early without an error.
"""

from __future__ import annotations

import os
from typing import IO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"styp", b"sidx")
_MOST_BOXES = 100_000


def missing_bytes(path: str | os.PathLike[str]) -> int:
    """How many bytes a file lacks of what its container declares.

    Reads the sizes of the top-level boxes of MP4 / MOV (ISO 14496-12, 4.2) and that of the segment of Matroska / WebM
    (RFC 8794, 4 and RFC 9559, 5.1). Other containers, and parts of unknown size, declare nothing.

    Returns:
        0 when nothing is missing as far as the container says.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        start = file.read(8)
        file.seek(0)
        if start[:4] == _EBML:
            end = _segment_end(file)
        elif start[4:] in _BOXES:
            end = _last_box_end(file, size)
        else:
            end = 0
    return max(0, end - size)


def _last_box_end(file: IO[bytes], size: int) -> int:
    """Where the last box of an MP4 ends; 0 when something else than a box follows."""
    position = 0
    for _ in range(_MOST_BOXES):
        if position >= size:
            break
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 0:  # up to the end of the file, wherever that is
            return 0
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8 or not header[4:8].isalnum():
            return 0
        position += length
    return position


def _segment_end(file: IO[bytes]) -> int:
    """Where the segment of a Matroska file ends; 0 when its size is not known."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return 0
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != _SEGMENT:
        return 0
    length = _vint(file)
    return 0 if length is None else file.tell() + length


def _vint(file: IO[bytes]) -> int | None:
    """A number of EBML's variable length; None for one that means "unknown"."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    if len(rest) < width - 1:
        return None
    value = int.from_bytes(bytes([first[0] & ((1 << (8 - width)) - 1)]) + rest, "big")
    return None if value == (1 << (7 * width)) - 1 else value
