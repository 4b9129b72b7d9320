"""What is said and kept of the objects that were found in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.json_writing import to_json
from ...core.palette import save_label_map
from ...core.score_gate import none_passed
from ...inference.results import SegmentedObject, label_map, unknown_words


def picture_rows(found: Sequence[SegmentedObject]) -> list[list[Any]]:
    """Rows of the table: object, sentence, score, share of the picture in percent."""
    return [
        [number, item.label, round(item.score, 3), round(100 * float(item.mask.mean()), 2)]
        for number, item in enumerate(found, start=1)
    ]


def picture_notes(found: Sequence[SegmentedObject]) -> list[str]:
    """The results in words, a line for each thing that must be said: what was found, what was not, and what not to
    believe: unknown words, and that no answer passed the threshold."""
    groups = (
        ("Found", [item for item in found if item.is_found]),
        ("Not found", [item for item in found if not item.is_found]),
    )
    notes = [
        f"{name}: {'; '.join(f'{item.label} ({item.score:.2f})' for item in items)}." for name, items in groups if items
    ]
    if unknown := unknown_words(found):
        notes.append(f"unknown to this model: {', '.join(unknown)}")
    gate = found[0].threshold
    if gate is not None and not any(item.passed for item in found):
        notes.append(f"{none_passed(gate, max(item.score for item in found))}: a lower threshold shows it")
    return notes


def save_picture_results(folder: Path, overlay: np.ndarray, found: Sequence[SegmentedObject]) -> list[str]:
    """Writes overlay, label map and run-length code into a folder.

    The files that come back are `overlay.png`, `masks.png` (palette PNG of the picture's size; where masks overlap, the
    better score wins) and `masks.json` (COCO's run-length code of each whole mask).
    """
    Image.fromarray(overlay).save(folder / "overlay.png")
    save_label_map(folder / "masks.png", label_map(found))
    keys = ("id", "text", "score", "box", "segmentation")
    objects = [item.summary(*keys, number=number) for number, item in enumerate(found, start=1)]
    height, width = found[0].mask.shape
    (folder / "masks.json").write_text(to_json({"height": height, "width": width, "objects": objects}))
    return [str(folder / name) for name in ("overlay.png", "masks.png", "masks.json")]
