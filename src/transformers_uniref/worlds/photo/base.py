"""The photograph behind a scene: square crops of a sequence, with its own object in them or without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..drawn.draws import Draws
from .folder import PhotoFolder
from .names import Names

Window = tuple[float, float, float]
"""Left, top and side of a square crop, in pixels of the frame."""

_LEAST_SIDE = 0.8
"""Smallest crop in sides of the picture, so that no photograph is blown up by more than a quarter."""

_LEAST_SHARE = 0.6
"""Share of the object that the first crop shows, where a crop with the object is wanted."""

LEAST_PIXELS = 1 / 300
"""Share of the picture that an object takes at least when a scene begins."""


@dataclass(frozen=True)
class SceneSource:
    """What scenes are made of: a folder, the sequences of the split, the side of the pictures in pixels."""

    folder: PhotoFolder
    sequences: tuple[str, ...]
    size: int

    def names(self, sequence: str) -> Names:
        """The words of a sequence."""
        return self.folder.sequences[sequence].names

    @property
    def all_names(self) -> list[Names]:
        """The words of the split."""
        return [self.names(sequence) for sequence in self.sequences]

    @property
    def plain(self) -> list[str]:
        """Sequences that show nothing nameable without a mask."""
        return [sequence for sequence in self.sequences if not self.names(sequence).clutter]


@dataclass(frozen=True)
class Base:
    """Crops of one sequence, one a picture.

    Attributes:
        sequence: its name.
        times: the frames.
        windows: their crops.
        mirrored: turn left and right.
        has_object: the sequence's object is in the first crop; otherwise in none of them.
        moving: frames or crops differ.
    """

    sequence: str
    times: tuple[int, ...]
    windows: tuple[Window, ...]
    mirrored: bool
    has_object: bool

    @property
    def moving(self) -> bool:
        """Whether frames or crops differ."""
        return len(set(self.times)) > 1 or len(set(self.windows)) > 1


def choose_times(draws: Draws, available: int, count: int, strides: Sequence[int] = (1, 2, 3, 4)) -> tuple[int, ...]:
    """`count` frames of a sequence at a regular distance, forwards or backwards; short sequences go to and fro."""
    stride = draws.choice([one for one in strides if (count - 1) * one < available] or [1])
    reach = (count - 1) * stride
    start = draws.integer(0, max(available - 1 - reach, 0))
    times = [start + stride * step for step in range(count)]
    period = max(2 * (available - 1), 1)
    times = [min(time % period, period - time % period) for time in times]
    return tuple(reversed(times)) if draws.chance(0.5) else tuple(times)


def _windows_around(draws: Draws, source: SceneSource, sequence: str, times: Sequence[int]) -> list[Window] | None:
    """Crops that hold most of the object in the first frame and follow it loosely."""
    width, height = source.folder.sequences[sequence].size
    where = source.folder.mask_extents(sequence)
    first, last = where[times[0]].box, where[times[-1]].box or where[times[0]].box
    if first is None or last is None:
        return None
    largest = min(width, height)
    extent = max(first[2] - first[0], first[3] - first[1])
    least = min(max(_LEAST_SIDE * source.size, min(1.05 * extent, largest)), largest)
    side = draws.uniform(least, largest) if draws.chance(0.6) else draws.uniform(least, (least + largest) / 2)

    def place(box: tuple[int, int, int, int], side: float) -> Window:
        # Anywhere such that the box is inside, or covers the window where it is larger; up to a sixth may be outside.
        slack = 0.16
        corner = []
        for low, high, limit in ((box[0], box[2], width), (box[1], box[3], height)):
            spill = slack * (high - low)
            ends = sorted((high - side - spill, low + spill)) if high - low <= side else [low, high - side]
            corner.append(min(max(draws.uniform(ends[0], ends[1]), 0.0), limit - side))
        return corner[0], corner[1], side

    start = place(first, side)
    if len(times) == 1 or draws.chance(0.35):
        return [start] * len(times)
    end = place(last, min(max(side * draws.uniform(0.85, 1.18), least), largest))
    shares = [step / (len(times) - 1) for step in range(len(times))]
    return [
        (
            min(max(start[0] + (end[0] - start[0]) * share, 0.0), width - (start[2] + (end[2] - start[2]) * share)),
            min(max(start[1] + (end[1] - start[1]) * share, 0.0), height - (start[2] + (end[2] - start[2]) * share)),
            start[2] + (end[2] - start[2]) * share,
        )
        for share in shares
    ]


def _windows_beside(draws: Draws, source: SceneSource, sequence: str, times: Sequence[int]) -> list[Window] | None:
    """Crops without a pixel of the object, at rest or drifting."""
    width, height = source.folder.sequences[sequence].size
    boxes = {source.folder.mask_extents(sequence)[time].box for time in times}
    largest = min(width, height)
    side = draws.uniform(min(_LEAST_SIDE * source.size, largest), largest)
    x, y = draws.uniform(0, width - side), draws.uniform(0, height - side)
    dx = dy = 0.0
    if len(times) > 1 and draws.chance(0.35):
        dx, dy = draws.uniform(-0.03, 0.03) * side, draws.uniform(-0.02, 0.02) * side
    windows = [
        (min(max(x + dx * step, 0.0), width - side), min(max(y + dy * step, 0.0), height - side), side)
        for step in range(len(times))
    ]
    for left, top, extent in set(windows):
        for box in boxes:
            # Two pixels more, for the object's own blur.
            if (
                box is not None
                and left < box[2] + 2
                and left + extent > box[0] - 2
                and top < box[3] + 2
                and top + extent > box[1] - 2
            ):
                return None
    return windows


def crop_mask(source: SceneSource, base: Base, step: int) -> np.ndarray:
    """Where the sequence's object is in the crop: bool (size, size), pixels that it covers by at least one half."""
    left, top, side = base.windows[step]
    mask = source.folder.photo(base.sequence, base.times[step]).mask
    cropped = mask.resize(
        (source.size, source.size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    array = np.asarray(cropped) >= 128
    return array[:, ::-1] if base.mirrored else array


def crop_picture(source: SceneSource, base: Base, step: int) -> np.ndarray:
    """The crop itself: float32 (size, size, 3), 0 to 255."""
    left, top, side = base.windows[step]
    image = source.folder.photo(base.sequence, base.times[step]).image
    cropped = image.resize(
        (source.size, source.size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side)
    )
    array = np.asarray(cropped)
    return (array[:, ::-1] if base.mirrored else array).astype(np.float32)


def brightness_of(source: SceneSource, base: Base) -> float:
    """Mean value of the first crop, 0 to 255."""
    return float(crop_picture(source, base, 0)[::4, ::4].mean())


def _shows_enough(source: SceneSource, base: Base) -> bool:
    pixels, size = int(np.count_nonzero(crop_mask(source, base, 0))), source.size
    whole = source.folder.mask_extents(base.sequence)[base.times[0]].area * (size / base.windows[0][2]) ** 2
    # Thin parts vanish when a mask shrinks, so the share is measured a little more kindly than asked.
    return pixels >= max(LEAST_PIXELS * size * size, 0.85 * _LEAST_SHARE * whole)


def choose_base(
    draws: Draws,
    source: SceneSource,
    sequences: Sequence[str],
    count: int = 1,
    with_object: bool = True,
    still: bool = False,
    attempts: int = 24,
) -> Base | None:
    """Crops of one of the sequences.

    Args:
        with_object: whether the sequence's object shall be seen in the first crop, or in none.
        still: take one frame for all pictures.

    Returns:
        The crops, or `None` when none of the trials gave what is asked for.
    """
    for _ in range(attempts):
        sequence = draws.choice(sequences)
        available = len(source.folder.sequences[sequence].frames)
        times = (draws.integer(0, available - 1),) * count if still else choose_times(draws, available, count)
        find = _windows_around if with_object else _windows_beside
        windows = find(draws, source, sequence, times)
        mirrored = draws.chance(0.5)
        if windows is None:
            continue
        base = Base(sequence, times, tuple(windows), mirrored, with_object)
        if not with_object or _shows_enough(source, base):
            return base
    return None
