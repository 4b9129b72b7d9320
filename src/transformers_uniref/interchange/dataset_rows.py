"""Rows of the package's datasets, those that `uniref annotate` writes among them, as annotated clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..datasets.schema import Instance
from .objects import DEFAULT_LABEL, AnnotatedClip, AnnotatedImage, AnnotatedObject


def from_dataset_row(row: Mapping[str, Any]) -> AnnotatedClip:
    """A row of the schema in `datasets/schema.py`, or of `uniref annotate`.

    Args:
        row: as `datasets` gives it; the pictures are not read and may be missing.

    Returns:
        A clip; a picture is one of a single frame (`.frames[0]`). An object is called by the first sentence that means
        it, else by its category; its score is that of its prediction, where the row has one.

    Raises:
        ValueError: an object with a box and no mask.
    """
    size = (int(row["height"]), int(row["width"]))
    said = {
        number: sentence["text"]
        for sentence in reversed(row.get("sentences") or [])
        for number in sentence["object_ids"]
    }
    scores = {entry["object_id"]: float(entry["score"]) for entry in row.get("predictions") or []}
    names = row.get("frame_names") or []
    frames = []
    for index in range(len(row.get("annotated") or row["frames"])):
        objects = []
        for stored in row["instances"]:
            number = int(stored["object_id"])
            entry = Instance(
                number,
                int(stored.get("category_id", -1)),
                stored.get("category") or "",
                bool(stored.get("is_crowd")),
                tuple(stored["frame_indices"]),
                tuple(stored["boxes"]),
                tuple(stored.get("masks") or ()),
            )
            if entry.shows(index):
                label = said.get(number) or entry.category or DEFAULT_LABEL
                objects.append(AnnotatedObject(entry.mask(index, size), label, scores.get(number), object_id=number))
        frames.append(AnnotatedImage(size, objects, names[index] if names else row.get("image_id") or row["sample_id"]))
    return AnnotatedClip(frames, row.get("image_id") or row["sample_id"])
