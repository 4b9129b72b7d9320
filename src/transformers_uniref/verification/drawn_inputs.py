"""The oracle's inputs, from the rule stated in its README: noise images with painted ellipses, and random token ids.

Every random number comes from numpy's legacy generator seeded by crc32 of a name, so they are the same everywhere.
Images are uint8 RGB (3, H, W), masks uint8 0/1 (H, W), boxes float (n, 4) xyxy in pixels with exclusive maxima.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONTEXT = 77
VOCABULARY = 500
START, END, FIRST_WORD = 2, 3, 4
RED, GREEN, BLUE = (220, 40, 40), (30, 200, 60), (40, 60, 230)
Arrays = dict[str, np.ndarray]
Size = tuple[int, int]

VIDEO_SIZE = (144, 208)


@dataclass(frozen=True)
class CaseSizes:
    """Sizes of the pictures of an image family."""

    ris: tuple[Size, ...]
    query: Size
    supports: tuple[Size, ...]
    video: Size


SIZES = CaseSizes(((160, 224), (144, 208)), (160, 224), ((144, 208), (128, 176), (150, 200)), VIDEO_SIZE)


def seeded(kind: str, name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(f"{kind}:{name}".encode()))


def stretch(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear enlargement of (c, gh, gw), pixel centres spread evenly from the first to the last node."""

    def nodes(length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        position = (np.arange(length) + 0.5) / length * (count - 1)
        lower = np.minimum(position.astype(int), count - 2)
        return lower, position - lower

    top, down = nodes(height, grid.shape[1])
    left, right = nodes(width, grid.shape[2])
    down, right = down[:, None], right[None, :]

    def corner(dy: int, dx: int) -> np.ndarray:
        return grid[:, (top + dy)[:, None], (left + dx)[None, :]]

    upper = corner(0, 0) * (1 - right) + corner(0, 1) * right
    lower = corner(1, 0) * (1 - right) + corner(1, 1) * right
    return upper * (1 - down) + lower * down


def ellipse(height: int, width: int, cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
    """1 where the pixel's centre lies inside the ellipse."""
    y = np.arange(height)[:, None] + 0.5
    x = np.arange(width)[None, :] + 0.5
    return (((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 <= 1.0).astype(np.uint8)


def picture(name: str, size: Size, objects: Sequence[tuple[np.ndarray, Sequence[int]]]) -> np.ndarray:
    """Coarse noise plus fine noise, 70 % covered by each object's colour."""
    cell, (height, width) = 24, size
    random = seeded("image", name)
    coarse = random.uniform(0, 255, (3, height // cell + 2, width // cell + 2))
    fine = random.uniform(-1, 1, (3, 4 * height // cell + 2, 4 * width // cell + 2))
    image = stretch(coarse, height, width) + 40.0 * stretch(fine, height, width)
    for mask, colour in objects:
        cover = 0.7 * mask[None]
        image = image * (1 - cover) + np.asarray(colour, dtype=float)[:, None, None] * cover
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def sentences(named_lengths: Sequence[tuple[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and attention mask (n, 77) of random sentences with that many words."""
    ids = np.zeros((len(named_lengths), CONTEXT), np.int64)
    mask = np.zeros_like(ids)
    for row, (name, words) in enumerate(named_lengths):
        drawn = seeded("sentence", name).randint(FIRST_WORD, VOCABULARY, words)
        tokens = np.concatenate([[START], drawn, [END]])[:CONTEXT]
        ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
    return ids, mask


def target(size: Size, which: int = 0) -> np.ndarray:
    height, width = size
    centre = width * (0.4 + 0.1 * which), height * (0.45 + 0.05 * which)
    return ellipse(height, width, *centre, width * (0.18 - 0.02 * which), height * (0.25 - 0.02 * which))


def clip(name: str, size: Size, frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (T, 3, H, W) and the masks (T, H, W) of a red object moving right and a blue one moving down-left."""
    height, width = size
    red = [
        ellipse(height, width, width * (0.3 + 0.05 * t), height * 0.45, width * 0.14, height * 0.20)
        for t in range(frames)
    ]
    blue = [
        ellipse(height, width, width * (0.75 - 0.03 * t), height * (0.4 + 0.05 * t), width * 0.11, height * 0.17)
        for t in range(frames)
    ]
    pictures = [picture(name, size, [(red[t], RED), (blue[t], BLUE)]) for t in range(frames)]
    return np.stack(pictures), np.stack(red), np.stack(blue)


def image_case_inputs(tag: str = "small", sizes: CaseSizes = SIZES) -> Arrays:
    """`inputs.npz` of an image family: referring, few-shot, and video-step inputs."""
    arrays: Arrays = {}
    colours = (RED, BLUE, GREEN)
    for i, size in enumerate(sizes.ris):
        mask = target(size, i)
        arrays[f"ris/image{i}"] = picture(f"{tag}/ris{i}", size, [(mask, colours[i])])
        arrays[f"ris/mask{i}"] = mask
    arrays["ris/input_ids"], arrays["ris/attention_mask"] = sentences(
        [(f"{tag}/ris{i}", 4 + 6 * i) for i in range(len(sizes.ris))]
    )
    mask = target(sizes.query, 2)
    arrays["fss/image"], arrays["fss/mask"] = picture(f"{tag}/fss", sizes.query, [(mask, GREEN)]), mask
    for i, size in enumerate(sizes.supports):
        mask = target(size, i)
        arrays[f"fss/support_image{i}"] = picture(f"{tag}/fss_s{i}", size, [(mask, GREEN)])
        arrays[f"fss/support_mask{i}"] = mask
    arrays["vos/images"], arrays["vos/masks"], arrays["vos/masks2"] = clip(f"{tag}/vos", sizes.video, 3)
    arrays["rvos/input_ids"], arrays["rvos/attention_mask"] = sentences([(f"{tag}/rvos", 6)])
    return arrays


def video_inputs(videos: Sequence[int]) -> Arrays:
    """`video/inputs.npz`: six-frame clips; object 1 is given in frame 0, object 2 in frame 2."""
    arrays: Arrays = {}
    for i in videos:
        frames, red, blue = clip(f"small/video{i}", VIDEO_SIZE, 6)
        arrays[f"video{i}/frames"] = frames
        arrays[f"video{i}/mask_object1_frame0"], arrays[f"video{i}/mask_object2_frame2"] = red[0], blue[2]
        arrays[f"video{i}/input_ids"], arrays[f"video{i}/attention_mask"] = sentences(
            [(f"small/video{i}/e0", 5), (f"small/video{i}/e1", 8)]
        )
    return arrays
