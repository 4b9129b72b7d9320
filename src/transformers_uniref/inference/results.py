"""What was found: one type for whoever asks, with the forms in which it is shown and stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.annotated_object import AnnotatedObject
from ..core.mask_boxes import coco_box


@dataclass(frozen=True, eq=False)
class SegmentedObject(AnnotatedObject):
    """An answer about a picture or a frame.

    Attributes:
        mask: bool (H, W); empty where the answer did not pass, unless all are to be shown.
        label: the sentence, or what else it is called; None where examples alone were asked.
        score: 0 to 1.
        box: x0, y0, x1, y1 in pixels, as the model predicts it (not that of the mask); None in a clip.
        object_id: 1 or more, in a clip; None in a picture.
        passed: whether the score is above the gate, and the sentence was understood.
        threshold: the gate; None for none.
        unknown_words: words of the sentence that mean nothing to the model.
        given: whether the mask is the user's, given for this very frame; the score then says nothing.
    """

    label: str | None = None  # type: ignore[assignment]  # an `AnnotatedImage` names those that have none
    score: float = field(kw_only=True)
    passed: bool = True
    threshold: float | None = None
    unknown_words: tuple[str, ...] = ()
    given: bool = False

    def __post_init__(self) -> None:
        """What a model answers needs no check, and a score that is no number shall show."""

    def to_dict(self) -> dict[str, Any]:
        """As the pipelines of Transformers say it: `mask` a picture of 0 and 255, `box` rounded and by name."""
        from PIL import Image

        sides = (round(side) for side in self.corners)
        return {
            "score": self.score,
            "label": self.label,
            "mask": Image.fromarray(self.mask.astype(np.uint8) * 255),
            "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), sides, strict=True)),
            "passed": self.passed,
            "threshold": self.threshold,
            "unknown_words": list(self.unknown_words),
        }

    def summary(self, *keys: str, number: int | None = None) -> dict[str, Any]:
        """What JSON says of it, under some keys, in their order.

        Args:
            *keys: some of `id`, `text`, `score` (null where the mask was given), `box` (x0, y0, x1, y1, the model's
                where it predicts one), `bbox` (around the mask: x, y, width, height), `area` and `pixels` (both the
                mask's pixels), `segmentation` (see `run_length_code`), `passed`, `unknown_words`.
            number: stands for the `object_id`, for instance in a picture.
        """
        told: dict[str, Callable[[], Any]] = {
            "id": lambda: self.object_id if number is None else number,
            "text": lambda: self.label,
            "score": lambda: None if self.given else round(self.score, 6),
            "box": lambda: [round(side, 2) for side in self.corners],
            "bbox": lambda: coco_box(self.mask),
            "area": lambda: self.area,
            "pixels": lambda: self.area,
            "segmentation": self.run_length_code,
            "passed": lambda: self.passed,
            "unknown_words": lambda: list(self.unknown_words),
        }
        return {key: told[key]() for key in keys}


def label_map(found: Sequence[SegmentedObject]) -> np.ndarray:
    """uint8 (H, W), ids 1.. by the order of the objects; where masks overlap, the better score wins.

    Args:
        found: at least one and at most 255, of one size.
    """
    labels = np.zeros(found[0].mask.shape, dtype=np.uint8)
    for number, item in sorted(enumerate(found, start=1), key=lambda numbered: numbered[1].score):
        labels[item.mask] = number
    return labels


def unknown_words(found: Sequence[SegmentedObject]) -> list[str]:
    """The words that mean nothing to the model, each once."""
    return list(dict.fromkeys(word for item in found for word in item.unknown_words))
