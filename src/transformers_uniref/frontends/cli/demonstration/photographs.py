"""The demonstration's photographs: a few that come with the package, asked about by sentences and by an example."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ....inference.pictures import segment_pictures
from ....inference.results import SegmentedObject
from ....media.overlays import contact_sheet, overlay_masks
from ...app.example_inputs import PHOTOGRAPHS

if TYPE_CHECKING:
    from ....modeling.shared_model import AnyUniRefModel
    from ....processors.processing_uniref import UniRefProcessor

SENTENCES = (
    ("zebra.jpg", "the zebra on the left"),
    ("pizza.jpg", "the pizza"),
    ("cat_01.jpg", "the cat"),
    ("cat_00.jpg", "the cat lying on the ground"),
    ("zebra.jpg", "the bicycle"),
)
"""Pictures and what is asked; the last one is not there."""

EXAMPLE, EXAMPLE_MASK, SEARCHED = "cat_00.jpg", "cat_00_mask.png", "cat_01.jpg"
CELL = (280, 280)


def photograph_sheet(model: AnyUniRefModel, processor: UniRefProcessor) -> np.ndarray:
    """The photographs with what was found in each; uint8 (H, W, 3)."""
    pictures, captions = [], []
    for image, asked, answer in _answers(model, processor):
        pictures.append(overlay_masks(image, {1: answer.mask}))
        captions.append(f"{asked}: {'' if answer.passed else 'not found, '}score {answer.score:.2f}")
    return contact_sheet(pictures, captions, columns=3, cell=CELL)


def _answers(model: AnyUniRefModel, processor: UniRefProcessor) -> Iterator[tuple[np.ndarray, str, SegmentedObject]]:
    for name, text in SENTENCES:
        image = _picture(name)
        [[answer]] = segment_pictures(model, processor, [(image, [text])])
        yield image, text, answer
    searched, example = _picture(SEARCHED), _picture(EXAMPLE)
    with Image.open(PHOTOGRAPHS / EXAMPLE_MASK) as file:
        mask = np.asarray(file) > 0
    [[answer]] = segment_pictures(
        model, processor, [(searched, [])], reference_images=[example], reference_masks=[mask]
    )
    yield searched, "like an example", answer


def _picture(name: str) -> np.ndarray:
    """uint8 (H, W, 3)."""
    with Image.open(PHOTOGRAPHS / name) as picture:
        return np.asarray(picture.convert("RGB"))
