"""The two tasks on pictures: by sentences, and by an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ...core.json_writing import to_json
from ...core.palette import save_label_map
from ...core.score_gate import none_passed
from ...inference.results import SegmentedObject, label_map, unknown_words

if TYPE_CHECKING:
    from ...modeling.shared_model import AnyUniRefModel
    from ...processors.processing_uniref import UniRefProcessor

BY_EXAMPLE = "like the example"


def find_by_sentences(
    image: np.ndarray, sentences: Sequence[str], threshold: float, model: AnyUniRefModel, processor: UniRefProcessor
) -> list[SegmentedObject]:
    """One result a sentence.

    Args:
        image: uint8 (H, W, 3).
        sentences: at least one.
        threshold: results that score this or less count as absent.
        model, processor: as loaded.
    """
    from ...inference.pictures import segment_pictures

    return segment_pictures(model, processor, [(image, sentences)], threshold=threshold)[0]


def find_by_example(
    image: np.ndarray,
    example: np.ndarray,
    mask: np.ndarray,
    sentence: str | None,
    threshold: float,
    model: AnyUniRefModel,
    processor: UniRefProcessor,
) -> list[SegmentedObject]:
    """What looks like the marked part of another picture.

    Args:
        image: the picture to search, uint8 (H, W, 3).
        example: uint8 (h, w, 3).
        mask: bool (h, w).
        sentence: says the same in words, or None; with one both references act together.
        threshold: see `find_by_sentences`.
        model, processor: as loaded.

    Returns:
        One result.
    """
    from ...inference.pictures import segment_pictures

    asked = [(image, [sentence] if sentence else [])]
    (found,) = segment_pictures(
        model, processor, asked, reference_images=[example], reference_masks=[mask], threshold=threshold
    )
    return [replace(item, label=item.label or BY_EXAMPLE) for item in found]


def picture_doubts(found: Sequence[SegmentedObject]) -> list[str]:
    """What is not to be believed, a line each: unknown words, and that no answer passed the threshold."""
    unknown = unknown_words(found)
    lines = [f"unknown to this model: {', '.join(unknown)}"] if unknown else []
    gate = found[0].threshold
    if gate is not None and not any(item.passed for item in found):
        lines.append(f"{none_passed(gate, max(item.score for item in found))}: a lower threshold shows it")
    return lines


def picture_rows(found: Sequence[SegmentedObject]) -> list[list[Any]]:
    """Rows of the table: object, sentence, score, share of the picture in percent."""
    return [
        [number, item.label, round(item.score, 3), round(100 * float(item.mask.mean()), 2)]
        for number, item in enumerate(found, start=1)
    ]


def picture_notes(found: Sequence[SegmentedObject]) -> list[str]:
    """The results in words, a line for each thing that must be said: what was found, and what was not."""
    groups = (
        ("Found", [item for item in found if item.is_found]),
        ("Not found", [item for item in found if not item.is_found]),
    )
    notes = [
        f"{name}: {'; '.join(f'{item.label} ({item.score:.2f})' for item in items)}." for name, items in groups if items
    ]
    return notes + picture_doubts(found)


def save_picture_results(folder: Path, overlay: np.ndarray, found: Sequence[SegmentedObject]) -> list[str]:
    """Writes overlay, label map and run-length code.

    Args:
        folder: exists.
        overlay: see `draw_results`.
        found: the results.

    Returns:
        The files: `overlay.png`, `masks.png` (palette PNG of the picture's size; where masks overlap, the better score
        wins) and `masks.json` (COCO's run-length code of each whole mask).
    """
    Image.fromarray(overlay).save(folder / "overlay.png")
    save_label_map(folder / "masks.png", label_map(found))
    keys = ("id", "text", "score", "box", "segmentation")
    objects = [item.summary(*keys, number=number) for number, item in enumerate(found, start=1)]
    height, width = found[0].mask.shape
    (folder / "masks.json").write_text(to_json({"height": height, "width": width, "objects": objects}))
    return [str(folder / name) for name in ("overlay.png", "masks.png", "masks.json")]
