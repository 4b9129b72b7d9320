"""Reading label maps strictly: what a benchmark's code would read, or an error."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..core.errors import UsageError

_LABEL_MODES = {"P", "L", "1"}


def read_label_png(file: str | Path | IO[bytes], described: str) -> tuple[np.ndarray, Image.Image]:
    """Reads the stored values of a PNG whose pixels are ids.

    Unlike `mask_reading.load_label_map` it interprets nothing: 255 stays 255, and colours are refused even where they
    are those of the DAVIS palette, since the benchmarks' code reads them as three numbers.

    Args:
        file: path or open file.
        described: what to call it in messages.

    Returns:
        uint8 (H, W), and the image, for its mode and palette.

    Raises:
        ValueError: no PNG, truncated, coloured, or of more than 8 bits.
    """
    try:
        with Image.open(file) as image:
            if image.format != "PNG":
                raise UsageError(f"{described} must be a PNG, got a {image.format} file")
            if image.mode.startswith(("I", "F")):
                raise UsageError(f"{described} must be an 8-bit PNG of ids, got 16 bits (mode {image.mode})")
            if image.mode not in _LABEL_MODES:
                raise UsageError(f"{described} must be a palette PNG of ids, got colours (mode {image.mode})")
            image.load()
            return np.asarray(image).astype(np.uint8), image
    except UnidentifiedImageError as error:
        raise UsageError(f"{described} must be a PNG, got something else") from error
    except (OSError, SyntaxError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise UsageError(f"{described} is damaged or cut off ({error})") from error
