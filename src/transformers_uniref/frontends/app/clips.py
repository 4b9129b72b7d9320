"""Clips that users send, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...media.video.frames import VideoFrames
from ...media.video.io import probe_clip
from ..errors import UserError
from .limits import MAX_FRAME_PIXELS, MAX_FRAMES, MAX_UPLOAD_BYTES

ACCEPTED = "MP4, WebM, MOV, MKV, GIF and animated WebP can be read"
SLOWEST, FASTEST = 1.0, 120.0

_SIGNATURES = (
    (4, b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),  # MP4, MOV
    (0, b"\x1aE\xdf\xa3"),  # WebM, MKV
    (0, b"RIFF"),  # AVI, WebP
    (0, b"OggS"),
    (0, b"GIF8"),
    (0, b"\x89PNG"),
)


@dataclass(frozen=True)
class Clip:
    """A clip within the limits, whose frames are read one at a time; its rate is the file's, within 1 to 120."""

    path: Path
    frames: VideoFrames
    frames_per_second: float

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.frames.size

    def __len__(self) -> int:
        return len(self.frames)


def open_clip(path: str | None) -> Clip:
    """Opens an uploaded clip, if it is one and within the limits.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    if not path:
        raise UserError("The video is missing: choose a file, or record one.")
    file = Path(path)
    if file.stat().st_size > MAX_UPLOAD_BYTES:
        raise UserError(f"The video must be a file of up to {MAX_UPLOAD_BYTES // 2**20} MB.")
    if not _is_container(file):
        raise UserError(_unreadable(file))
    try:
        info = probe_clip(file)
        _check_length(info.num_frames or 0)
        # Nothing is decoded whose stated size is too large.
        height, width = info.size or (0, 0)
        if width * height > MAX_FRAME_PIXELS:
            raise UserError(
                f"The video's frames are {width} x {height}; up to {MAX_FRAME_PIXELS / 1e6:.1f} megapixels, such as "
                "1920 x 1080, are accepted. Make it smaller and send it again."
            )
        frames = VideoFrames(file)
    except (ValueError, OSError) as error:
        raise UserError(_unreadable(file)) from error
    _check_length(len(frames))
    rate = info.frames_per_second
    return Clip(file, frames, min(FASTEST, max(SLOWEST, rate)))


def _is_container(file: Path) -> bool:
    """Whether it begins like a file that holds its pictures itself.

    FFmpeg also opens lists of other files (HLS, concat, ...), and would read those, wherever they are.
    """
    with file.open("rb") as opened:
        head = opened.read(16)
    return any(head.startswith(known, position) for position, *all_known in _SIGNATURES for known in all_known)


def _unreadable(file: Path) -> str:
    return f"This file is no video that can be read: {file.name}. {ACCEPTED}."


def _check_length(count: int) -> None:
    if count > MAX_FRAMES:
        raise UserError(f"The video has {count} frames; up to {MAX_FRAMES} are accepted. Cut it and send it again.")
