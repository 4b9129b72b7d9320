"""Small datasets to annotate, and an answerer that needs no model. Run as a program, it annotates with that one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transformers_uniref.annotation.answering import Question
from transformers_uniref.annotation.run import annotate
from transformers_uniref.annotation.settings import AnnotationSettings
from transformers_uniref.annotation.source import from_rows, open_source
from transformers_uniref.datasets.parquet_shards import read_rows
from transformers_uniref.inference.results import SegmentedObject


class BrightPixels:
    """Finds the pixels above the sentence's number; a sentence that is no number finds nothing."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.asked: list[int] = []

    def identity(self) -> str:
        return "bright pixels"

    def __call__(self, questions: Sequence[Question]) -> list[list[SegmentedObject]]:
        self.asked.append(len(questions))
        time.sleep(self.seconds)
        return [[_find(pixels, text) for text in sentences or (None,)] for pixels, sentences in questions]


def _find(pixels: np.ndarray, text: str | None) -> SegmentedObject:
    level = int(text) if text and text.isdigit() else 255
    mask = pixels[..., 0] > level
    return SegmentedObject(mask, text, score=float(mask.mean()), box=(0.5, 1.0, 7.5, 9.0))


def picture_folder(folder: Path, rows: int, **extra: Sequence[Any]) -> Path:
    """A folder of pictures with metadata: `id`, and `caption`, a list of one or two sentences."""
    folder.mkdir(parents=True)
    lines = []
    for number in range(rows):
        pixels = np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.png")
        line = {"file_name": f"{number:03d}.png", "id": f"id-{number}", "caption": ["128", "none"][: 1 + number % 2]}
        lines.append(line | {name: values[number] for name, values in extra.items()})
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return folder


def table(rows: int) -> Any:
    """The same as a `datasets.Dataset` in memory, pictures as bytes."""
    import io

    from datasets import Dataset, Features, List, Value
    from datasets import Image as ImageFeature

    made: dict[str, list[Any]] = {"id": [], "image": [], "caption": []}
    for number in range(rows):
        buffer = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, format="PNG")
        made["id"].append(f"id-{number}")
        made["image"].append({"bytes": buffer.getvalue(), "path": None})
        made["caption"].append(["128", "none"][: 1 + number % 2])
    features = Features({"id": Value("string"), "image": ImageFeature(), "caption": List(Value("string"))})
    return Dataset.from_dict(made, features=features)


def annotate_rows(rows: Any, output: Path, answering: Any = None, **options: Any) -> Any:
    """Annotates an open dataset by its column `caption`."""
    settings = AnnotationSettings(**{"text_column": "caption", "shard_size": 4, "batch_size": 3, **options})
    return annotate(from_rows(rows, "bright"), answering or BrightPixels(), settings, output)


def output_rows(folder: Path) -> list[dict[str, Any]]:
    """All rows of an annotation, in the order of the shards."""
    return [row for path in sorted((folder / "data").glob("*.parquet")) for row in read_rows(path)]


if __name__ == "__main__":
    _, dataset, output, seconds = sys.argv
    settings = AnnotationSettings(text_column="caption", shard_size=4, batch_size=3)
    done = annotate(open_source(dataset), BrightPixels(float(seconds)), settings, output)
    print(json.dumps({"made": done.made, "kept": done.kept, **done.counts}))
