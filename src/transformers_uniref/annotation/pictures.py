"""The picture of a row, whatever its column holds: pixels, the encoded file, its name."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.errors import one_line
from ..core.picture_input import rgb_array
from .columns import BadSampleError, Sample

_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: uint8 (H, W, 3) RGB, upright.
        name: the file's stem; "" where it has none.
        encoded: a picture file of these pixels; empty unless asked for.
    """

    pixels: np.ndarray
    name: str = ""
    encoded: bytes = b""


def load_picture(sample: Sample, folder: Path | None = None, keep_encoded: bool = False) -> Picture:
    """Decode the picture of a sample.

    Args:
        sample: its image is {"bytes", "path"}, bytes, a path or address that fsspec can open, or an array.
        folder: where relative paths begin; None: the working directory.
        keep_encoded: give the file as well. It is the original one, unless that is stored turned (EXIF) or was an
            array; then it is a PNG.

    Raises:
        BadSampleError: it is missing or cannot be decoded.
    """
    try:
        data, name = _encoded(sample.image, folder)
        if data is None:
            pixels = rgb_array(sample.image, "image")
            return Picture(pixels, name, _png(pixels) if keep_encoded else b"")
        with Image.open(io.BytesIO(data)) as opened:
            turned = opened.getexif().get(_ORIENTATION, 1) != 1
            pixels = rgb_array(opened, "image")
        encoded = (_png(pixels) if turned else data) if keep_encoded else b""
        return Picture(pixels, name, encoded)
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        # What Pillow raises for a broken file depends on its format.
        raise BadSampleError(sample.sample_id, f"its picture cannot be read ({one_line(error)})") from error


def _encoded(value: Any, folder: Path | None) -> tuple[bytes | None, str]:
    path: Any = None
    if isinstance(value, Mapping):
        path = value.get("path")
        value = value.get("bytes") or path
    name = Path(str(path)).stem if path else ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), name
    if isinstance(value, (str, Path)):
        return _read(str(value), folder), Path(str(value)).stem
    return None, name


def _read(path: str, folder: Path | None) -> bytes:
    if "://" not in path:
        return ((folder or Path()) / path).read_bytes()
    import fsspec

    with fsspec.open(path) as file:
        return file.read()


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
