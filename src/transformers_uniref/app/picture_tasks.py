"""The two tasks on pictures: by sentences, and by an example."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.json_writing import to_json
from ..core.mask_codes import encode_rle
from ..core.palette import save_label_map
from ..score_gate import none_passed
from .legend import LegendEntry, draw_results

BY_EXAMPLE = "like the example"


@dataclass(frozen=True)
class Found:
    """One result of a picture.

    Attributes:
        text: what was looked for.
        score: 0..1.
        box: x0, y0, x1, y1 in pixels.
        mask: bool (H, W); empty where the answer did not pass the threshold.
        passed: whether it did.
        threshold: the score that it had to exceed; None for none.
        unknown_words: words that mean nothing to the model.
    """

    text: str
    score: float
    box: tuple[float, float, float, float]
    mask: np.ndarray
    passed: bool = True
    threshold: float | None = None
    unknown_words: tuple[str, ...] = ()


def find_by_sentences(
    image: np.ndarray, sentences: Sequence[str], threshold: float, model: Any, processor: Any
) -> list[Found]:
    """One result a sentence.

    Args:
        image: uint8 (H, W, 3).
        sentences: at least one.
        threshold: results that score this or less count as absent.
        model, processor: as loaded.
    """
    return _find(dict(images=image, text=list(sentences)), list(sentences), threshold, model, processor)


def find_by_example(
    image: np.ndarray,
    example: np.ndarray,
    mask: np.ndarray,
    sentence: str | None,
    threshold: float,
    model: Any,
    processor: Any,
) -> list[Found]:
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
    given: dict[str, Any] = dict(images=image, reference_images=[example], reference_masks=[mask])
    if sentence:
        given["text"] = sentence
    return _find(given, [sentence or BY_EXAMPLE], threshold, model, processor)


def _find(given: dict[str, Any], names: list[str], threshold: float, model: Any, processor: Any) -> list[Found]:
    import torch

    from ..modeling.precision import half_precision

    inputs = processor(**given, return_tensors="pt", return_original_sizes=True).to(model.device)
    sizes = inputs.pop("original_sizes")
    with torch.inference_mode(), half_precision(model):
        outputs = model(**inputs)
    # What a sentence says is not decisive where an example says it, too.
    heard = None if "reference_masks" in inputs else inputs.understood
    results = processor.post_process_answers(outputs, target_sizes=sizes, threshold=threshold, understood=heard)
    return [
        Found(
            name,
            float(result["score"]),
            tuple(result["box"].tolist()),
            result["segmentation"].cpu().numpy(),
            result["passed"],
            result["threshold"],
            tuple(words),
        )
        for name, words, result in zip(names, inputs.unknown_words or [[] for _ in names], results, strict=True)
    ]


def picture_doubts(found: Sequence[Found]) -> list[str]:
    """What is not to be believed, a line each: unknown words, and that no answer passed the threshold."""
    unknown = dict.fromkeys(word for item in found for word in item.unknown_words)
    lines = [f"unknown to this model: {', '.join(unknown)}"] if unknown else []
    gate = found[0].threshold
    if gate is not None and not any(item.passed for item in found):
        lines.append(f"{none_passed(gate, max(item.score for item in found))}: a lower threshold shows it")
    return lines


def picture_overlay(image: np.ndarray, found: Sequence[Found]) -> np.ndarray:
    """The results over their picture, with the legend; uint8 (H', W', 3)."""
    entries = [
        LegendEntry(number, item.text, item.score, bool(item.mask.any())) for number, item in enumerate(found, start=1)
    ]
    return draw_results(image, {number: item.mask for number, item in enumerate(found, start=1)}, entries)


def picture_rows(found: Sequence[Found]) -> list[list[Any]]:
    """Rows of the table: object, sentence, score, share of the picture in percent."""
    return [
        [number, item.text, round(item.score, 3), round(100 * float(item.mask.mean()), 2)]
        for number, item in enumerate(found, start=1)
    ]


def picture_notes(found: Sequence[Found]) -> list[str]:
    """The results in words, a line for each thing that must be said: what was found, and what was not."""
    groups = (
        ("Found", [item for item in found if item.mask.any()]),
        ("Not found", [item for item in found if not item.mask.any()]),
    )
    notes = [
        f"{name}: {'; '.join(f'{item.text} ({item.score:.2f})' for item in items)}." for name, items in groups if items
    ]
    return notes + picture_doubts(found)


def save_picture_results(folder: Path, overlay: np.ndarray, found: Sequence[Found]) -> list[str]:
    """Writes overlay, label map and run-length code.

    Args:
        folder: exists.
        overlay: see `picture_overlay`.
        found: the results.

    Returns:
        The files: `overlay.png`, `masks.png` (palette PNG of the picture's size; where masks overlap, the better score
        wins) and `masks.json` (COCO's run-length code of each whole mask).
    """
    labels = np.zeros(found[0].mask.shape, dtype=np.uint8)
    for number, item in sorted(enumerate(found, start=1), key=lambda pair: pair[1].score):
        labels[item.mask] = number
    Image.fromarray(overlay).save(folder / "overlay.png")
    save_label_map(folder / "masks.png", labels)
    objects = [
        {
            "id": number,
            "text": item.text,
            "score": round(item.score, 6),
            "box": [round(side, 2) for side in item.box],
            "segmentation": encode_rle(item.mask),
        }
        for number, item in enumerate(found, start=1)
    ]
    height, width = found[0].mask.shape
    (folder / "masks.json").write_text(to_json({"height": height, "width": width, "objects": objects}))
    return [str(folder / name) for name in ("overlay.png", "masks.png", "masks.json")]
