"""FiftyOne's instance labels: `Detections` whose masks lie inside their boxes, as plain dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.mask_boxes import coco_box, window_of
from ..core.masks import nearest_resize
from .objects import DEFAULT_LABEL, AnnotatedImage, AnnotatedObject


def to_fiftyone(image: AnnotatedImage) -> dict[str, Any]:
    """A picture's objects as the fields of `fiftyone.Detections`.

    FiftyOne itself is not needed:
    `fiftyone.Detections(detections=[fiftyone.Detection(**fields) for fields in to_fiftyone(image)["detections"]])`.

    Args:
        image: objects without a pixel are left out.

    Returns:
        {"detections": [...]}, each with `label`, `bounding_box` [x, y, width, height] relative to the picture (around
        the mask), `mask` bool of the box's size in pixels, and, where known, `confidence` and `index` (the object id).
    """
    height, width = image.size
    detections = []
    for entry in image.found():
        x, y, across, down = coco_box(entry.mask)
        fields: dict[str, Any] = {
            "label": entry.label,
            "bounding_box": [x / width, y / height, across / width, down / height],
            "mask": entry.mask[window_of(entry.mask)].copy(),
        }
        if entry.score is not None:
            fields["confidence"] = entry.score
        if entry.object_id is not None:
            fields["index"] = entry.object_id
        detections.append(fields)
    return {"detections": detections}


def from_fiftyone(labels: Any, size: tuple[int, int], *, name: str = "") -> AnnotatedImage:
    """A picture's objects from `fiftyone.Detections`, or from dictionaries with the same fields.

    Args:
        labels: `fiftyone.Detections`, or {"detections": [...]}. A mask of another size than its box is resized by
            nearest neighbour, as FiftyOne does.
        size: (height, width) of the picture, which the labels do not say.
        name: of the picture's file.

    Raises:
        ValueError: a detection without a mask, or with a box outside the picture.
    """
    given = labels["detections"] if isinstance(labels, Mapping) else labels.detections
    height, width = size
    objects = []
    for detection in given:
        mask = _field(detection, "mask")
        if mask is None:
            raise UsageError(f"`labels` has a detection without a mask: {_field(detection, 'label')!r}.")
        x, y, w, h = _field(detection, "bounding_box")
        left, top, right, bottom = (
            round(value) for value in (x * width, y * height, (x + w) * width, (y + h) * height)
        )
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise UsageError(f"`labels` has a box that does not lie in the picture: {[x, y, w, h]}.")
        whole = np.zeros(size, dtype=bool)
        whole[top:bottom, left:right] = nearest_resize(np.asarray(mask) != 0, (bottom - top, right - left))
        objects.append(
            AnnotatedObject(
                whole,
                _field(detection, "label") or DEFAULT_LABEL,
                _field(detection, "confidence"),
                object_id=_field(detection, "index"),
            )
        )
    return AnnotatedImage(size, objects, name)


def _field(detection: Any, name: str) -> Any:
    return detection.get(name) if isinstance(detection, Mapping) else getattr(detection, name, None)
