"""Objects cut out of their picture: the background becomes transparent."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.errors import UsageError
from ..core.mask_boxes import window_of


def cut_out(image: np.ndarray, mask: np.ndarray, *, whole: bool = False, softness: float | None = None) -> np.ndarray:
    """An object alone, with soft edges: colours, and how opaque each pixel is.

    What is wholly transparent is black, so that nothing of the background is left in a file.

    Args:
        image: uint8 (H, W, 3).
        mask: bool (H, W), with at least one pixel.
        whole: keep the picture's size; otherwise only the rectangle around the object stays.
        softness: standard deviation of the edges in pixels, 0 for hard ones; default: 1 per 720 pixels of the shorter
            side, at least 0.5.

    Returns:
        uint8 (h, w, 4): red, green, blue, opacity.

    Raises:
        ValueError: an image or a mask of another type or shape, an empty mask, a negative `softness`.
    """
    image, mask = np.asarray(image), np.asarray(mask)
    if image.ndim != 3 or image.shape[-1] != 3 or image.dtype != np.uint8:
        raise UsageError(f"`image` must be uint8 (height, width, 3), got {image.dtype} of shape {image.shape}.")
    if mask.shape != image.shape[:2] or mask.dtype != np.bool_:
        raise UsageError(
            f"`mask` must be bool of the image's size {image.shape[:2]}, got {mask.dtype} of shape {mask.shape}."
        )
    if not mask.any():
        raise UsageError("`mask` must have a pixel of the object at least, got an empty one.")
    sigma = max(0.5, min(mask.shape) / 720) if softness is None else softness
    if not 0 <= sigma < float("inf"):
        raise UsageError(f"`softness` must be 0 or more, got {softness}.")
    opacity = mask * np.uint8(255)
    if sigma > 0:
        # The picture's border is no edge of the object: it goes on beyond.
        opacity = ndimage.gaussian_filter(opacity.astype(np.float32), sigma, mode="nearest", truncate=3)
        opacity = np.rint(opacity).astype(np.uint8)
        if not opacity.any():  # a speck that the blur would take away altogether
            opacity = mask * np.uint8(255)
    alone = np.concatenate([np.where(opacity[..., None] > 0, image, np.uint8(0)), opacity[..., None]], axis=-1)
    if whole:
        return alone
    return np.ascontiguousarray(alone[window_of(opacity)])
