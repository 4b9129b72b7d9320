"""Small clips: a square that moves over grey, as arrays, pictures and a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from transformers_uniref.media.video.io import (
    VideoWriter,
)


def grey(height: int, width: int, value: int = 90) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def moving_square(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    frames = []
    for index in range(count):
        frame = grey(height, width)
        frame[10:26, 4 * index : 4 * index + 16] = (220, 40, 40)
        frames.append(frame)
    return frames


def write_frames(folder: Path, frames: list[np.ndarray], pattern: str = "{:05d}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / pattern.format(index))
    return folder


def write_video(path: Path, frames: list[np.ndarray], fps: float = 12) -> Path:
    with VideoWriter(path, fps) as writer:
        for frame in frames:
            writer.write(frame)
    return path
