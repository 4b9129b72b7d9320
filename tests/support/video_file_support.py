"""Video files of many containers and codecs, made with PyAV: small, and with frames that all differ."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

HEIGHT, WIDTH, COUNT = 48, 64, 24


def drawn_frames(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH) -> list[np.ndarray]:
    """Frames of a moving square on noise, uint8 (H, W, 3)."""
    chance = np.random.default_rng(0)
    frames = []
    for number in range(count):
        frame = chance.integers(20, 60, (height, width, 3)).astype(np.uint8)
        left = 4 * number % (width - 16)
        frame[8:24, left : left + 16] = (230, 30, 10 * number % 256)
        frames.append(frame)
    return frames


def encode(
    path: Path,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    *,
    pixels: str = "yuv420p",
    frames: Sequence[np.ndarray] | None = None,
    times: Sequence[int] | None = None,
    aspect: Fraction | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Writes a clip at 25 frames a second.

    Args:
        path: its suffix names the container.
        codec, options, pixels: of the encoder.
        frames: default: `drawn_frames()`.
        times: of the frames, in 1/25 s.
        aspect: width of a pixel by its height.
        container_options: of the muxer.
    """
    import av

    frames = drawn_frames() if frames is None else frames
    with av.open(str(path), "w", container_options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixels
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts, picture.time_base = number if times is None else times[number], Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def copied(source: Path, path: Path, begin: float = 0.0, change: Callable[[int, Any], bool] | None = None) -> Path:
    """A copy of the packets from a time on, as `ffmpeg -ss BEGIN -i SOURCE -c copy PATH` makes it.

    Args:
        change: gets each packet with its number, may change it, and says whether it stays.
    """
    import av

    with av.open(str(source)) as taken, av.open(str(path), "w") as given:
        stream = taken.streams.video[0]
        other = given.add_stream_from_template(stream)
        first = int(begin / stream.time_base)
        if first:
            taken.seek(first, stream=stream, backward=True)
        for number, packet in enumerate(packet for packet in taken.demux(stream) if packet.size):
            if change is not None and not change(number, packet):
                continue
            if packet.pts is not None and packet.dts is not None:
                packet.pts -= first
                packet.dts -= first
            packet.stream = other
            given.mux(packet)
    return path


def decoded_in_order(path: Path, stream: int = 0) -> list[np.ndarray]:
    """What decoding a file from its first packet gives, by PyAV alone."""
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[stream])]


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of an MP4 from `start` on: (kind, first byte, byte behind)."""
    end = len(data) if end is None else end
    while start < end:
        size = struct.unpack(">I", data[start : start + 4])[0]
        yield data[start + 4 : start + 8], start, start + size
        start += size


def with_cover(path: Path, to: Path) -> Path:
    """An MP4 that also holds a cover picture, which FFmpeg shows as its first stream."""
    import io

    from PIL import Image

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    picture = io.BytesIO()
    Image.new("RGB", (50, 50), (200, 200, 200)).save(picture, "JPEG")
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + picture.getvalue()))
    handler = box(b"hdlr", struct.pack(">II", 0, 0) + b"mdirappl" + bytes(9))
    user_data = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", cover)))
    data = path.read_bytes()
    movie, end = next((start, end) for kind, start, end in boxes(data) if kind == b"moov")
    assert movie > data.find(b"mdat")  # the offsets of the packets stay
    header_end = next(after for kind, _, after in boxes(data, movie + 8, end) if kind == b"mvhd")
    size = struct.pack(">I", end - movie + len(user_data))
    to.write_bytes(data[:movie] + size + data[movie + 4 : header_end] + user_data + data[header_end:])
    return to


def with_display_matrix(path: Path, to: Path, matrix: Sequence[int]) -> Path:
    """An MP4 whose pictures are to be shown as the matrix (a, b, c, d) says."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 4 + 36
    a, b, c, d = (value << 16 for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    to.write_bytes(data)
    return to


GROUPS = {"g": "8", "bf": "2"}
OPEN = {"x264-params": "open-gop=1:keyint=8:bframes=3:b-adapt=0:scenecut=0"}
REFRESHED = {"x264-params": "intra-refresh=1:keyint=8:bframes=0:scenecut=0"}
HEVC = {"x265-params": "log-level=none:keyint=8:min-keyint=8:bframes=3:open-gop=1:scenecut=0"}
HEVC_CLOSED = {"x265-params": "log-level=none:keyint=8:bframes=3:open-gop=0:scenecut=0"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}

# What a clip is called: (suffix, codec, options, more arguments of `encode`).
KINDS: dict[str, tuple[str, str, dict[str, str], dict[str, Any]]] = {
    "H.264 in MP4": (".mp4", "libx264", GROUPS, {}),
    "H.264 with open groups in MP4": (".mp4", "libx264", OPEN, {}),
    "H.264 refreshed bit by bit in MP4": (".mp4", "libx264", REFRESHED, {}),
    "interlaced H.264 in MP4": (".mp4", "libx264", {**GROUPS, "x264-params": "tff=1"}, {}),
    "H.264 in fragments of MP4": (".mp4", "libx264", GROUPS, {"container_options": FRAGMENTS}),
    "H.264 in MP4 with its index first": (".mp4", "libx264", GROUPS, {"container_options": {"movflags": "faststart"}}),
    "H.264 in MP4 without edit lists": (".mp4", "libx264", GROUPS, {"container_options": {"use_editlist": "0"}}),
    "H.264 of ten bits in Matroska": (".mkv", "libx264", GROUPS, {"pixels": "yuv420p10le"}),
    "H.264 in 4:4:4 in MOV": (".mov", "libx264", GROUPS, {"pixels": "yuv444p"}),
    "H.264 in FLV": (".flv", "libx264", GROUPS, {}),
    "H.264 in MPEG-TS": (".ts", "libx264", GROUPS, {}),
    "H.264 with open groups in MPEG-TS": (".ts", "libx264", OPEN, {}),
    "H.264 refreshed bit by bit in MPEG-TS": (".ts", "libx264", REFRESHED, {}),
    "H.264 in AVI": (".avi", "libx264", GROUPS, {}),
    "raw H.264": (".h264", "libx264", GROUPS, {}),
    "HEVC in MP4": (".mp4", "libx265", HEVC_CLOSED, {}),
    "HEVC with open groups in MP4": (".mp4", "libx265", HEVC, {}),
    "HEVC with open groups in Matroska": (".mkv", "libx265", HEVC, {}),
    "HEVC in MPEG-TS": (".ts", "libx265", HEVC, {}),
    "raw HEVC": (".hevc", "libx265", HEVC, {}),
    "VP8 in WebM": (".webm", "libvpx", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "8"}, {}),
    "VP9 in WebM": (".webm", "libvpx-vp9", {"g": "8", "auto-alt-ref": "1", "lag-in-frames": "8"}, {}),
    "AV1 in MP4": (".mp4", "libsvtav1", {"g": "8", "preset": "12"}, {}),
    "MPEG-4 in AVI": (".avi", "mpeg4", GROUPS, {}),
    "MPEG-4 in MP4": (".mp4", "mpeg4", GROUPS, {}),
    "MPEG-2 in a program stream": (".mpg", "mpeg2video", GROUPS, {}),
    "MPEG-2 in MPEG-TS": (".ts", "mpeg2video", GROUPS, {}),
    "raw MPEG-1": (".m1v", "mpeg1video", {"g": "8"}, {}),
    "raw motion JPEG": (".mjpeg", "mjpeg", {}, {"pixels": "yuvj420p"}),
    "motion JPEG in MOV": (".mov", "mjpeg", {}, {"pixels": "yuvj420p"}),
    "ProRes with alpha in MOV": (".mov", "prores_ks", {}, {"pixels": "yuva444p10le"}),
    "PNG with alpha in MOV": (".mov", "png", {}, {"pixels": "rgba"}),
    "FFV1 in Matroska": (".mkv", "ffv1", {}, {"pixels": "bgr0"}),
    "Windows Media": (".wmv", "wmv2", {"g": "8"}, {}),
    "animation in MOV": (".mov", "qtrle", {}, {"pixels": "rgb24"}),
    "uncompressed AVI": (".avi", "rawvideo", {}, {"pixels": "bgr24"}),
}


def make(folder: Path, kind: str) -> Path:
    """A clip of a kind out of `KINDS`."""
    suffix, codec, options, more = KINDS[kind]
    return encode(folder / f"clip{suffix}", codec, options, **more)
