"""Which prediction is judged as which object of a clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Frames = Mapping[str, tuple[float, ...]]
"""For each frame J, F, F with an adaptive radius, and whether the frame shows the object."""


@dataclass(frozen=True)
class Series:
    """An object's values in its judged frames, in their order.

    Attributes:
        j, f, f_adaptive: float (n,), 0..1.
        present: bool (n,), whether the frame shows the object.
        prediction: the id that was judged; 0 where there was none to assign.
    """

    j: np.ndarray
    f: np.ndarray
    f_adaptive: np.ndarray
    present: np.ndarray
    prediction: int


def frame_order(frame: str) -> tuple[int, int, str]:
    """Sorts frames by their numbers, and behind them those whose names are no numbers."""
    return (0, int(frame), frame) if frame.isdecimal() else (1, 0, frame)


def assign_by_id(candidates: Mapping[int, Mapping[int, Frames]]) -> dict[int, Series]:
    """The same id means the same object.

    Args:
        candidates: for each object and each predicted id the values by frame.
    """
    return {number: _series(of_object[number], number) for number, of_object in sorted(candidates.items())}


def assign_by_overlap(candidates: Mapping[int, Mapping[int, Frames]]) -> dict[int, Series]:
    """Each object gets a prediction of its own, so that the sum of J&F is highest (Hungarian method), as DAVIS does it.

    Objects that are more than the predictions get none, which has the values of an empty mask.

    Args:
        candidates: for each object and each predicted id the values by frame. Id 0, an empty mask, has every frame and
            stands in where an id is missing.
    """
    from scipy.optimize import linear_sum_assignment

    objects = sorted(candidates)
    highest = max(number for of_object in candidates.values() for number in of_object)
    # The official code counts proposals from 1 to the highest id, in between those that never occur.
    proposals = list(range(1, highest + 1)) + [0] * max(0, len(objects) - highest)
    table = [
        [_series({**candidates[number][0], **candidates[number].get(proposal, {})}, proposal) for number in objects]
        for proposal in proposals
    ]
    quality = np.array([[(cell.j.mean() + cell.f.mean()) / 2 for cell in row] for row in table])
    rows, columns = linear_sum_assignment(-quality)
    assigned = {objects[column]: table[row][column] for row, column in zip(rows, columns, strict=True)}
    return dict(sorted(assigned.items()))


def _series(frames: Frames, prediction: int) -> Series:
    ordered = [frames[frame] for frame in sorted(frames, key=frame_order)]
    j, f, f_adaptive, present = (np.array(column) for column in zip(*ordered, strict=True))
    return Series(j, f, f_adaptive, present.astype(bool), prediction)
