"""Masks as bytes: PNG, and the run-length code of COCO (plain and compressed). NumPy and Pillow only."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

_ASCII_OFFSET = 48
_CONTINUES = 0x20
_SIGN = 0x10


def encode_png(mask: np.ndarray) -> bytes:
    """A bool (H, W) mask as a PNG of one bit a pixel."""
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise TypeError(f"mask: expected bool (H, W), got {mask.dtype} {mask.shape}")
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return buffer.getvalue()


def decode_png(data: bytes) -> np.ndarray:
    """The bool (H, W) mask of a single-channel PNG: every value but 0 is the object.

    Raises:
        ValueError: the picture has more than one channel.
        OSError: it cannot be read.
    """
    with Image.open(io.BytesIO(data)) as picture:
        values = np.asarray(picture)
    if values.ndim != 2:
        raise ValueError(f"mask: expected a PNG of one channel, got mode {picture.mode}")
    return values != 0


def flat_runs(flat: np.ndarray) -> list[int]:
    """Lengths of the runs of 0, 1, 0, ... in bool (n,); the first may be 0."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(edges).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def runs_to_flat(runs: Sequence[int], size: int) -> np.ndarray:
    """Bool (size,) from the lengths of the runs of 0, 1, 0, ...

    Raises:
        ValueError: the runs do not fill the size.
    """
    if any(run < 0 for run in runs) or sum(runs) != size:
        raise ValueError(f"rle: the runs cover {sum(runs)} pixels of {size}")
    values = np.zeros(len(runs), dtype=bool)
    values[1::2] = True
    return np.repeat(values, runs)


def _runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs down the columns."""
    return flat_runs(np.asarray(mask, dtype=bool).ravel(order="F"))


def _compress(runs: Sequence[int]) -> str:
    """COCO's text of run lengths: from the third on differences to the run before last, 5 bits a letter."""
    letters = []
    for position, run in enumerate(runs):
        value = run - runs[position - 2] if position > 2 else run
        while True:
            part = value & 0x1F
            value >>= 5
            done = value == (-1 if part & _SIGN else 0)
            letters.append(chr((part if done else part | _CONTINUES) + _ASCII_OFFSET))
            if done:
                break
    return "".join(letters)


def _decompress(text: str) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        part = ord(letter) - _ASCII_OFFSET
        value |= (part & 0x1F) << shift
        shift += 5
        if not part & _CONTINUES:
            if part & _SIGN:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("rle: the compressed counts end in the middle of a number")
    return runs


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """A bool (H, W) mask as COCO's {"size": [H, W], "counts": str} (compressed)."""
    return {"size": [int(side) for side in mask.shape], "counts": _compress(_runs(mask))}


def decode_rle(rle: Mapping[str, Any]) -> np.ndarray:
    """The bool (H, W) mask of COCO's run-length code.

    Args:
        rle: {"size": [H, W], "counts": compressed str or bytes, or the list of run lengths}.

    Raises:
        ValueError: the runs do not fill the size.
    """
    height, width = (int(side) for side in rle["size"])
    counts = rle["counts"]
    if isinstance(counts, bytes):
        counts = counts.decode("ascii")
    runs = _decompress(counts) if isinstance(counts, str) else [int(run) for run in counts]
    return runs_to_flat(runs, height * width).reshape((height, width), order="F")
