"""Pictures and label maps of the originals: sizes without decoding, labels with their values."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from ...core.errors import UsageError

TOLERATED_PIXELS = 2
"""A mask whose sides differ from its picture's by no more than this is resized (nearest); beyond, it is left out."""


def picture_size(data: bytes) -> tuple[int, int]:
    """(height, width) of an encoded picture, from its header.

    Raises:
        OSError: it is none.
    """
    with Image.open(io.BytesIO(data)) as picture:
        return picture.height, picture.width


def decode_labels(data: bytes, name: str) -> np.ndarray:
    """The values of a label map, uint8 (H, W): of a picture of mode P, L or 1, or of a grey one in colour mode.

    Raises:
        ValueError: it cannot be read, has 16 bits a pixel, or colours instead of labels.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            mode = picture.mode
            values = np.asarray(picture)
    except OSError as error:
        raise UsageError(f"`source`: {name} cannot be read as a picture ({error})") from error
    if mode in ("P", "L", "1"):
        return values.astype(np.uint8)
    if mode in ("RGB", "RGBA") and (values[..., :3] == values[..., :1]).all():
        return values[..., 0]
    what = {"RGB": "colours", "RGBA": "colours"}.get(mode, f"pixels of mode {mode}")
    raise UsageError(f"`source`: {name} must be a label map (palette or grey, 8 bits), got {what}")


def fit_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """`labels` at `size` (height, width), nearest; None where the sides differ by more than a rounding."""
    if labels.shape == size:
        return labels
    if max(abs(labels.shape[0] - size[0]), abs(labels.shape[1] - size[1])) > TOLERATED_PIXELS:
        return None
    return np.asarray(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))
