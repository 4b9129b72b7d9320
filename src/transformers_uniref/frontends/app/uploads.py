"""Pictures that users send, checked before they are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...core.picture_input import rgb_array
from ..errors import UserError
from .limits import MAX_PICTURE_PIXELS, MAX_UPLOAD_BYTES

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Pillow knows more, but some of them start other programs (EPS) or have seen less care."""


@contextmanager
def open_picture(path: str | None, called: str) -> Iterator[Image.Image]:
    """An uploaded picture whose header has been checked, not yet decoded; what goes wrong in the block is told too.

    The path is None when the user sent nothing; `called` is what the page calls it, in small letters.
    """
    title = f"{called[0].upper()}{called[1:]}"
    if not path:
        raise UserError(f"{title} is missing: choose or drop a file.")
    file = Path(path)
    if file.stat().st_size > MAX_UPLOAD_BYTES:
        raise UserError(f"{title} must be a file of up to {MAX_UPLOAD_BYTES // 2**20} MB.")
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PICTURE_PIXELS:
                raise UserError(
                    f"{title} has {width * height / 1e6:.1f} megapixels ({width} x {height}); up to "
                    f"{MAX_PICTURE_PIXELS / 1e6:.0f} are accepted. Make it smaller and send it again."
                )
            yield image
    except UnidentifiedImageError as error:
        raise UserError(f"{title} is no picture that can be read: {file.name}. {', '.join(FORMATS)} can.") from error
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{title} has too many pixels; up to {MAX_PICTURE_PIXELS / 1e6:.0f} million are accepted."
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UserError(f"{title} is damaged or cut off: {file.name}.") from error


def read_picture(path: str | None, called: str = "the picture") -> np.ndarray:
    """The picture of an uploaded file, upright, uint8 RGB (H, W, 3); see `open_picture`."""
    with open_picture(path, called) as image:
        image.load()
        return rgb_array(image, called)


def fitted(image: np.ndarray, least: int, largest: int, *, smooth: bool = True) -> np.ndarray:
    """A picture, uint8 (H, W, 3), or mask, bool (H, W), whose longer side is within these pixels, proportions kept.

    Masks are not to be interpolated (`smooth`).
    """
    side = max(image.shape[:2])
    scale = min(largest, max(least, side)) / side
    if scale == 1:
        return image
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = Image.Resampling.NEAREST
    if smooth:
        method = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image).resize(size, method))
