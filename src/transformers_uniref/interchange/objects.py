"""What every format is made of: objects with masks, in pictures and in clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..datasets.schema import tight_box

DEFAULT_LABEL = "object"
"""What an object is called whose sentence is not known, for instance one that was given by a mask."""


@dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One object in one picture or frame.

    Attributes:
        mask: bool (H, W); may be empty.
        label: a sentence or a class.
        score: 0 to 1; None: unknown, or annotated by hand.
        box: x0, y0, x1, y1 in pixels, the upper ends exclusive; None: the box around the mask.
        object_id: 1 or more, the same in all frames of a clip; None: unknown.
    """

    mask: np.ndarray
    label: str = DEFAULT_LABEL
    score: float | None = None
    box: tuple[float, float, float, float] | None = None
    object_id: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.mask, np.ndarray) or self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            kind = f"{getattr(self.mask, 'dtype', type(self.mask).__name__)} {getattr(self.mask, 'shape', '')}".strip()
            raise ValueError(f"`mask` must be a bool array (height, width), got {kind}.")
        _make_plain(self, score=number, object_id=whole_number)
        if self.box is not None:
            object.__setattr__(self, "box", tuple(float(value) for value in self.box))
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"`score` must be between 0 and 1, got {self.score}.")
        if self.object_id is not None and self.object_id < 1:
            raise ValueError(f"`object_id` must be 1 or more, got {self.object_id}.")

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.mask.sum())

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """The box, given or around the mask; zeros for an empty mask without one."""
        if self.box is not None:
            return self.box
        return self.tight_corners

    @property
    def tight_corners(self) -> tuple[float, float, float, float]:
        """The box around the mask; zeros where it is empty."""
        x0, y0, x1, y1 = tight_box(self.mask) if self.mask.any() else [0.0] * 4
        return x0, y0, x1, y1


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """A picture's objects.

    Attributes:
        size: (height, width) in pixels.
        objects: in any order; masks may overlap.
        name: of the picture's file, or "".
        image_id: its number in its dataset; None: its place in the list that is written, from 1.
    """

    size: tuple[int, int]
    objects: Sequence[AnnotatedObject] = ()
    name: str = ""
    image_id: int | None = None

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise ValueError(f"`size` must be (height, width) of 1 or more, got {self.size}.")
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        _make_plain(self, image_id=whole_number)
        for entry in self.objects:
            if entry.mask.shape != tuple(self.size):
                raise ValueError(
                    f"`objects` must have masks of the picture's size {self.size}, got {entry.mask.shape}."
                )

    def found(self) -> list[AnnotatedObject]:
        """The objects that have a pixel."""
        return [entry for entry in self.objects if entry.mask.any()]

    def label_map(self) -> np.ndarray:
        """int32 (H, W): 0 background, else the object's id, or its place from 1; later ones lie over earlier ones."""
        labels = np.zeros(self.size, dtype=np.int32)
        for place, entry in enumerate(self.objects, start=1):
            labels[entry.mask] = entry.object_id or place
        return labels


@dataclass(frozen=True, eq=False)
class AnnotatedClip:
    """A clip's objects, frame by frame; every object has an `object_id`, and one label.

    Attributes:
        frames: each of the same size; their names are those of the frames' files.
        name: of the clip.
        clip_id: its number in its dataset; None: its place in the list that is written, from 1.
        fps: frames a second; None: unknown.
    """

    frames: Sequence[AnnotatedImage] = field(default_factory=list)
    name: str = ""
    clip_id: int | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        if not len(self.frames):
            raise ValueError("`frames` must hold at least one frame, got none.")
        _make_plain(self, clip_id=whole_number, fps=number)
        sizes = {tuple(frame.size) for frame in self.frames}
        if len(sizes) > 1:
            raise ValueError(f"`frames` must be of one size, got {sorted(sizes)}.")
        for index, frame in enumerate(self.frames):
            ids = [entry.object_id for entry in frame.objects]
            if None in ids or len(set(ids)) != len(ids):
                raise ValueError(f"`frames` must hold objects with distinct ids, got {ids} in frame {index}.")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.frames[0].size

    def tracks(self) -> dict[int, dict[int, AnnotatedObject]]:
        """{object id: {frame: object}}, rising; frames in which the object has no pixel are left out."""
        tracks: dict[int, dict[int, AnnotatedObject]] = {}
        for index, frame in enumerate(self.frames):
            for entry in frame.objects:
                assert entry.object_id is not None
                track = tracks.setdefault(entry.object_id, {})
                if entry.mask.any():
                    track[index] = entry
        return dict(sorted(tracks.items()))

    def labels(self) -> dict[int, str]:
        """{object id: its label in the first frame that has the object}."""
        named: dict[int, str] = {}
        for frame in self.frames:
            for entry in frame.objects:
                assert entry.object_id is not None
                named.setdefault(entry.object_id, entry.label)
        return named

    def scores(self) -> dict[int, float | None]:
        """{object id: the mean of its scores over the frames that have one}; None where none has."""
        lists: dict[int, list[float]] = {}
        for frame in self.frames:
            for entry in frame.objects:
                assert entry.object_id is not None
                lists.setdefault(entry.object_id, []).extend([] if entry.score is None else [entry.score])
        return {number: sum(scores) / len(scores) if scores else None for number, scores in lists.items()}


def number(value: Any, name: str) -> float | None:
    """A number of Python, NumPy or PyTorch (also an array of one) as Python's; None stays.

    Raises:
        TypeError: it is no number.
    """
    try:
        return None if value is None else float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`{name}` must be a number, got {value!r}.") from error


def whole_number(value: Any, name: str) -> int | None:
    """The same for whole numbers; a text, which some files have for ids, stays.

    Raises:
        TypeError: it is no whole number.
    """
    found = value if isinstance(value, str) else number(value, name)
    if not isinstance(found, float):
        return found  # type: ignore[return-value]
    if not found.is_integer():
        raise TypeError(f"`{name}` must be a whole number, got {value!r}.")
    return int(found)


def _make_plain(entry: Any, **kinds: Callable[[Any, str], Any]) -> None:
    for name, kind in kinds.items():
        object.__setattr__(entry, name, kind(getattr(entry, name), name))


def category_numbers(labels: Sequence[str]) -> dict[str, int]:
    """{label: number from 1}, in the order of first appearance."""
    return {label: number for number, label in enumerate(dict.fromkeys(labels), start=1)}
