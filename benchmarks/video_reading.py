"""Reading video files: every frame in order, and going back by one frame.

    python benchmarks/video_reading.py
    python benchmarks/video_reading.py --size 720 1280 --json

Writes a drawn clip in several containers and codecs, then measures in one run, one after the other and repeatedly:
reading in order by `read_frames`, by number from first to last by `VideoFrames` (with the opening of the file), both
against what PyAV alone needs to decode and convert the frames as it is usually written; and going back frame by frame
through the clip by number, a frame, against opening the file and decoding one group of pictures. The ratios of the
medians are what counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

CLIPS = {
    "H.264 in MP4": ("clip.mp4", "libx264", {"preset": "veryfast", "bf": "2"}),
    "HEVC in MP4": ("clip.mp4", "libx265", {"preset": "ultrafast", "x265-params": "log-level=none:open-gop=1"}),
    "H.264 in MPEG-TS": ("clip.ts", "libx264", {"preset": "veryfast", "bf": "2"}),
    "MPEG-2 in a program stream": ("clip.mpg", "mpeg2video", {"bf": "2", "b": "4M"}),
}
"""File name, encoder and its options. The frames of the last two are counted by decoding them once."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=120, help="length of the clip (default: %(default)s)")
    parser.add_argument("--group", type=int, default=30, help="frames of a group of pictures (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=[480, 854], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=5, help="runs of each measurement (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.add_argument("--small", action="store_true", help="a tiny clip: shows that it runs, not how fast")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.frames, arguments.group, arguments.size, arguments.repeats = 24, 8, [48, 64], 1
    if min(arguments.frames, arguments.group, arguments.repeats, *arguments.size) < 1:
        parser.error("--frames, --group, --size and --repeats must be 1 or more")
    return arguments


def drawn_clip(path: Path, codec: str, options: dict[str, str], arguments: argparse.Namespace) -> Path:
    """Drifting clouds."""
    import av
    from PIL import Image

    height, width = (side - side % 2 for side in arguments.size)
    noise = np.random.default_rng(0).integers(0, 256, (height // 6 + 1, width // 6 + 1, 3), dtype=np.uint8)
    clouds = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={**options, "g": str(arguments.group)})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(arguments.frames):
            frame = np.ascontiguousarray(np.roll(clouds, (index, 2 * index), (0, 1)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def by_pyav_alone(path: Path) -> None:
    """Decodes and converts all frames."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            frame.to_ndarray(format="rgb24")


def one_group(path: Path, length: int) -> None:
    """Opens the file, decodes one group of pictures and converts its last frame."""
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        frames = list(itertools.islice(container.decode(video=0), length))
        frames[-1].to_ndarray(format="rgb24")


def read_in_order(path: Path) -> None:
    from transformers_uniref.media.video.io import read_frames

    for _ in read_frames(path):
        pass


def read_by_number(path: Path) -> None:
    from transformers_uniref.media.video.frames import VideoFrames

    for _ in VideoFrames(path):
        pass


def measure(path: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """Medians of seconds, and their ratios."""
    from transformers_uniref.media.video.frames import VideoFrames

    video = VideoFrames(path)

    def backwards() -> None:
        for index in range(len(video) - 1, -1, -1):
            video[index]

    ways: dict[str, Callable[[], Any]] = {
        "alone": lambda: by_pyav_alone(path),
        "in_order": lambda: read_in_order(path),
        "by_number": lambda: read_by_number(path),
        "group": lambda: one_group(path, arguments.group),
        "backwards": backwards,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    longest = []
    for _ in range(arguments.repeats):
        # In turn, so that what else the machine does meets all of them.
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
        steps = []
        for index in range(len(video) - 1, -1, -1):
            start = time.perf_counter()
            video[index]
            steps.append(time.perf_counter() - start)
        longest.append(max(steps[1:], default=0.0))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "seconds_alone": median["alone"],
        "in_order_ratio": median["in_order"] / median["alone"],
        "by_number_ratio": median["by_number"] / median["alone"],
        "seconds_group": median["group"],
        "back_ratio": median["backwards"] / len(video) / median["group"],
        "longest_back_ratio": statistics.median(longest) / median["group"],
    }


def main() -> None:
    arguments = parse_arguments()
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        for told, (name, codec, options) in CLIPS.items():
            report[told] = measure(drawn_clip(Path(folder) / name, codec, options, arguments), arguments)
    if arguments.json:
        print(json.dumps(report))
        return
    print("seconds by PyAV alone; ratios to it of read_frames and VideoFrames, first to last;")
    print("seconds to open and decode one group of pictures; ratios to it of one frame back, on average and at most")
    for told, row in report.items():
        numbers = "  ".join(f"{value:6.3f}" for value in row.values())
        print(f"{told:28} {numbers}")


if __name__ == "__main__":
    main()
