"""From strokes in the image editor to a mask of the picture's size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..errors import UserError

OPAQUE = 128
"""Strokes with at least this opacity, 0..255, belong to the mask."""


def is_drawn(editor: Mapping[str, Any] | None) -> bool:
    """Whether there is any stroke on any layer of the editor; see `drawn_mask`."""
    layers = (editor or {}).get("layers") or []
    return any(layer is not None and bool(np.asarray(layer)[..., 3].any()) for layer in layers)


def drawn_mask(editor: Mapping[str, Any] | None, size: tuple[int, int]) -> np.ndarray:
    """What was drawn on any layer, bool (height, width) of the picture that was drawn on.

    `editor` is the value of a `gradio.ImageEditor` of type "numpy": `layers` are uint8 (h, w, 4) of any one size.
    """
    strokes = np.zeros(size, dtype=bool)
    for layer in (editor or {}).get("layers") or []:
        if layer is None:
            continue
        opaque = np.asarray(layer)[..., 3] >= OPAQUE
        if opaque.any():
            strokes |= _resized(opaque, size)
    if not strokes.any():
        raise UserError("Nothing is drawn yet: paint over the object with the brush.")
    if strokes.all():
        raise UserError("The whole picture is painted over: paint over the object alone.")
    return strokes


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if mask.shape == size:
        return mask
    # Averaging keeps thin strokes that picking single pixels would lose.
    shares = Image.fromarray(mask.astype(np.uint8) * 255).resize((size[1], size[0]), Image.Resampling.BOX)
    return np.asarray(shares) >= OPAQUE
