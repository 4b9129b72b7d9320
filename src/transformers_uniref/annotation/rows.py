"""An annotated row: the schema of `datasets/schema.py`, and what the model said about every sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..datasets.schema import Row, features, make_instance, make_row
from ..inference.results import SegmentedObject
from .columns import PREDICTIONS, Columns, Sample
from .pictures import Picture
from .settings import AnnotationSettings


def annotated_features(columns: Columns, of_input: Any, copy_images: bool) -> Any:
    """The `datasets.Features` of the output; those of kept columns are taken from the input's."""
    from datasets import Features, List, Value

    schema = dict(features())
    if not copy_images:
        del schema["frames"]
    prediction = {
        "text": Value("string"),
        "score": Value("float32"),
        "box": List(Value("float32")),
        "object_id": Value("int32"),
    }
    kept = {name: of_input[name] for name in columns.kept}
    return Features({**schema, PREDICTIONS: List(prediction), **kept})


def annotated_row(
    sample: Sample,
    picture: Picture,
    predictions: Sequence[SegmentedObject],
    source: str,
    split: str,
    settings: AnnotationSettings,
) -> Row:
    """A row of the output for a row of this split of a source.

    Every prediction whose mask has a pixel is an object; its number is the prediction's place, from 1. A sentence
    whose mask is empty means no object. With all targets the predictions of a sentence are objects that it means.
    """
    instances, said = [], []
    sentences: list[dict[str, Any]] = []
    for number, prediction in enumerate(predictions, start=1):
        if found := prediction.is_found:
            instances.append(make_instance(number, {0: prediction.mask}, code="rle"))
        if settings.targets == "all" and sentences and sentences[-1]["text"] == prediction.label:
            sentences[-1]["object_ids"] += [number] if found else []
        elif prediction.label is not None:
            sentences.append({"text": prediction.label, "object_ids": [number] if found else []})
        said.append(
            {
                "text": prediction.label,
                "score": float(prediction.score),
                "box": [float(side) for side in prediction.corners],
                "object_id": number if found else 0,
            }
        )
    row = make_row(
        sample.sample_id,
        [{"bytes": picture.encoded, "path": None}],
        instances,
        sentences,
        source=source,
        split=split,
        image_id=sample.image_id,
        size=(picture.pixels.shape[0], picture.pixels.shape[1]),
        frame_names=[picture.name] if picture.name else [],
    )
    if not settings.copy_images:
        del row["frames"]
    return {**row, PREDICTIONS: said, **sample.kept}
