"""Pictures whose pixels are not square, as in clips of old camcorders, DVDs and broadcasts, made fit to be looked at.

Frames and masks keep the pixels that are stored, so that they belong to each other and to the file. What is drawn to be
looked at gets square pixels: not every viewer heeds a ratio that is written beside the picture.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from PIL import Image

from ..core.errors import UsageError


def square_pixels(picture: np.ndarray, pixel_aspect: Fraction | float) -> np.ndarray:
    """A picture or label map with square pixels, of the proportions with which it is shown.

    The side that is too short grows, so that nothing is lost.

    Args:
        picture: uint8 (H, W, 3); or (H, W) of any type: labels or a mask, whose values stay what they are.
        pixel_aspect: width of a pixel by its height, above 0.

    Returns:
        The same type, (H', W', 3) or (H', W'); the picture itself where its pixels are square.

    Raises:
        ValueError: no positive ratio.
    """
    if not 0 < pixel_aspect < float("inf"):
        raise UsageError(f"`pixel_aspect` must be above 0, got {pixel_aspect}.")
    height, width = picture.shape[:2]
    size = (round(height / min(pixel_aspect, 1)), round(width * max(pixel_aspect, 1)))
    if size == (height, width):
        return picture
    if picture.ndim == 3:
        return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC))
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, (height, width), strict=True)
    )
    return picture[np.ix_(rows, columns)]
