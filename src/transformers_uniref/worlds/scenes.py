"""What the worlds give: scenes with the meanings of their sentences, and the plain values made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from ..core.errors import KindError, UsageError

Meaning = TypeVar("Meaning")


@dataclass(frozen=True)
class Sentence(Generic[Meaning]):
    """A wording, its meaning and its kind."""

    text: str
    meaning: Meaning
    kind: str


class Reference(NamedTuple):
    """A sentence and the numbers of all objects that it means; none: it is true of nothing."""

    text: str
    numbers: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class ImageScene(Generic[Meaning]):
    """A still scene: picture, masks (n, size, size), and what is true and what is said of its objects."""

    image: np.ndarray
    masks: np.ndarray
    objects: list[dict[str, Any]]
    facts: Any
    sentences: list[list[Sentence[Meaning]]]
    absent: list[Sentence[Meaning]]

    def values(self) -> dict[str, Any]:
        """The keys of `World.image`."""
        return {
            "image": self.image,
            "masks": self.masks,
            "objects": self.objects,
            "sentences": [[one.text for one in group] for group in self.sentences],
            "sentence_kinds": [[one.kind for one in group] for group in self.sentences],
            "absent_sentences": [one.text for one in self.absent],
        }


@dataclass(frozen=True)
class FewShotScene:
    """A query and its supports."""

    image: np.ndarray
    mask: np.ndarray
    reference_images: np.ndarray
    reference_masks: np.ndarray
    category: str

    def values(self) -> dict[str, Any]:
        """The keys of `World.few_shot`."""
        return dict(vars(self))


@dataclass(frozen=True)
class ClipScene(Generic[Meaning]):
    """A clip. Object k has id k + 1."""

    frames: np.ndarray
    label_maps: np.ndarray
    objects: list[dict[str, Any]]
    facts: Any
    sentences: list[list[Sentence[Meaning]]]
    absent: list[Sentence[Meaning]]

    def values(self) -> dict[str, Any]:
        """The keys of `World.clip`."""
        numbered = list(enumerate(self.sentences, start=1))
        flat = self.label_maps.reshape(len(self.label_maps), -1)
        return {
            "frames": self.frames,
            "label_maps": self.label_maps,
            "visible": {number: (flat == number).any(1) for number, _ in numbered},
            "objects": dict(enumerate(self.objects, start=1)),
            "sentences": {number: [one.text for one in group] for number, group in numbered},
            "sentence_kinds": {number: [one.kind for one in group] for number, group in numbered},
            "absent_sentences": [one.text for one in self.absent],
        }


def check_integer(name: str, value: int, low: int) -> int:
    """`value` as an integer of at least `low`.

    Raises:
        TypeError: it is no integer.
        ValueError: it is smaller.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise KindError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    if value < low:
        raise UsageError(f"{name} must be at least {low}, got {value}")
    return int(value)
