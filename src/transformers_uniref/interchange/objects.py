"""What every format is made of: objects with masks, in pictures and in clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..core.annotated_object import DEFAULT_LABEL, AnnotatedObject, make_plain, number, numbered, whole_number
from ..core.errors import UsageError


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """A picture's objects.

    Attributes:
        size: (height, width) in pixels.
        objects: in any order; masks may overlap. A model's answer that has no label is called `DEFAULT_LABEL`.
        name: of the picture's file, or "".
        image_id: its number in its dataset; None: its place in the list that is written, from 1.
    """

    size: tuple[int, int]
    objects: Sequence[AnnotatedObject] = ()
    name: str = ""
    image_id: int | None = None

    def __post_init__(self) -> None:
        if len(self.size) != 2 or min(self.size) < 1:
            raise UsageError(f"`size` must be (height, width) of 1 or more, got {self.size}.")
        object.__setattr__(self, "size", (int(self.size[0]), int(self.size[1])))
        make_plain(self, image_id=whole_number)
        if any(entry.label is None for entry in self.objects):
            named = [replace(entry, label=entry.label or DEFAULT_LABEL) for entry in self.objects]
            object.__setattr__(self, "objects", named)
        for entry in self.objects:
            if entry.mask.shape != tuple(self.size):
                raise UsageError(
                    f"`objects` must have masks of the picture's size {self.size}, got {entry.mask.shape}."
                )

    def found(self) -> list[AnnotatedObject]:
        """The objects that have a pixel."""
        return [entry for entry in self.objects if entry.is_found]

    def label_map(self) -> np.ndarray:
        """int32 (H, W): 0 background, else the object's id, or its place from 1; later ones lie over earlier ones."""
        labels = np.zeros(self.size, dtype=np.int32)
        for value, entry in numbered(self.objects):
            labels[entry.mask] = value
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
            raise UsageError("`frames` must hold at least one frame, got none.")
        make_plain(self, clip_id=whole_number, fps=number)
        sizes = {tuple(frame.size) for frame in self.frames}
        if len(sizes) > 1:
            raise UsageError(f"`frames` must be of one size, got {sorted(sizes)}.")
        for index, frame in enumerate(self.frames):
            ids = [entry.object_id for entry in frame.objects]
            if None in ids or len(set(ids)) != len(ids):
                raise UsageError(f"`frames` must hold objects with distinct ids, got {ids} in frame {index}.")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.frames[0].size

    def tracks(self) -> dict[int, dict[int, AnnotatedObject]]:
        """{object id: {frame: object}}, rising; frames in which the object has no pixel are left out."""
        tracks: dict[int, dict[int, AnnotatedObject]] = {}
        for index, object_id, entry in self._entries():
            track = tracks.setdefault(object_id, {})
            if entry.is_found:
                track[index] = entry
        return dict(sorted(tracks.items()))

    def labels(self) -> dict[int, str]:
        """{object id: its label in the first frame that has the object}."""
        named: dict[int, str] = {}
        for _, object_id, entry in self._entries():
            named.setdefault(object_id, entry.label)
        return named

    def scores(self) -> dict[int, float | None]:
        """{object id: the mean of its scores over the frames that have one}; None where none has."""
        lists: dict[int, list[float]] = {}
        for _, object_id, entry in self._entries():
            lists.setdefault(object_id, []).extend([] if entry.score is None else [entry.score])
        return {number: sum(scores) / len(scores) if scores else None for number, scores in lists.items()}

    def _entries(self) -> Iterator[tuple[int, int, AnnotatedObject]]:
        """(frame, object id, object) of all frames."""
        for index, frame in enumerate(self.frames):
            for entry in frame.objects:
                assert entry.object_id is not None
                yield index, entry.object_id, entry


def category_numbers(labels: Sequence[str]) -> dict[str, int]:
    """{label: number from 1}, in the order of first appearance."""
    return {label: number for number, label in enumerate(dict.fromkeys(labels), start=1)}
