"""`supervision.Detections`, what roboflow's supervision draws, tracks, counts and filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.optional import require
from .coco import numbered
from .objects import DEFAULT_LABEL, AnnotatedImage, AnnotatedObject

_CLASS_NAME = "class_name"


def to_supervision(image: AnnotatedImage, *, categories: Mapping[str, int] | None = None) -> Any:
    """A picture's objects as `supervision.Detections`.

    Args:
        image: objects without a pixel are left out.
        categories: {label: class id}. Default: labels numbered from 1 as they appear.

    Returns:
        `supervision.Detections` with `xyxy` (the model's boxes, where it predicts them), `mask`, `class_id`,
        `data["class_name"]`; `confidence` and `tracker_id` where every object has a score or an id.

    Raises:
        MissingExtraError: supervision is not installed.
        ValueError: a label that `categories` lacks.
    """
    supervision = require("supervision", "interchange", "making supervision.Detections")
    objects = image.found()
    if not objects:
        return supervision.Detections.empty()
    numbers = numbered((entry.label for entry in objects), categories)
    scores, ids = [entry.score for entry in objects], [entry.object_id for entry in objects]
    return supervision.Detections(
        xyxy=np.array([entry.corners for entry in objects], dtype=np.float64),
        mask=np.stack([entry.mask for entry in objects]),
        confidence=None if None in scores else np.array(scores, dtype=np.float64),
        class_id=np.array([numbers[entry.label] for entry in objects]),
        tracker_id=None if None in ids else np.array(ids),
        data={_CLASS_NAME: np.array([entry.label for entry in objects])},
    )


def from_supervision(detections: Any, size: tuple[int, int], *, name: str = "") -> AnnotatedImage:
    """A picture's objects from `supervision.Detections`.

    Args:
        detections: with masks, unless there is none at all.
        size: (height, width) of the picture.
        name: of the picture's file.

    Raises:
        ValueError: detections without masks, or with masks of another size.
    """
    if len(detections) and detections.mask is None:
        raise UsageError("`detections` must have masks, got boxes alone.")
    names = detections.data.get(_CLASS_NAME)
    objects = []
    for place in range(len(detections)):
        ids = detections.tracker_id
        objects.append(
            AnnotatedObject(
                np.asarray(detections.mask[place]).astype(bool),
                DEFAULT_LABEL if names is None else str(names[place]),
                None if detections.confidence is None else float(detections.confidence[place]),
                detections.xyxy[place],
                None if ids is None else int(ids[place]),
            )
        )
    return AnnotatedImage(size, objects, name)
