"""Masks as bytes: PNG, and the run-length code of COCO (plain and compressed).

The run lengths are not left to pycocotools: they are the core's, which has to do without that package, its `decode`
returns memory that nobody wrote where a code is too short, and it is no faster on masks of objects.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from .errors import KindError, UsageError

# A letter of COCO's compressed run lengths: five bits of a number, the lowest first, and whether more follow.
_ASCII_OFFSET = 48
_LETTER_BITS = 5
_VALUE = 0x1F
_SIGN = 0x10
_CONTINUES = 0x20
_MOST_LETTERS = 12  # 60 bits


def encode_png(mask: np.ndarray) -> bytes:
    """A bool (H, W) mask as a PNG of one bit a pixel."""
    if mask.dtype != np.bool_ or mask.ndim != 2:
        raise KindError(f"mask: expected bool (H, W), got {mask.dtype} {mask.shape}")
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
        raise UsageError(f"mask: expected a PNG of one channel, got mode {picture.mode}")
    return values != 0


def flat_runs(flat: np.ndarray) -> list[int]:
    """Lengths of the runs of 0, 1, 0, ... in bool (n,); the first may be 0."""
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    runs = np.diff(edges).tolist()
    return [0, *runs] if flat.size and flat[0] else runs


def runs_to_flat(runs: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    """Bool (size,) from the lengths of the runs of 0, 1, 0, ...

    Raises:
        ValueError: the runs do not fill the size.
    """
    lengths = np.asarray(runs)
    if ((lengths < 0) | (lengths > size)).any() or lengths.sum() != size:
        raise UsageError(f"rle: the runs cover {lengths.sum():.0f} pixels of {size}")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths.astype(np.int64))


def _compress(runs: Sequence[int]) -> str:
    """COCO's text of run lengths: from the fourth on differences to the run before last, 5 bits a letter."""
    values = np.array(runs, dtype=np.int64)
    values[3:] -= np.array(runs[1:-2], dtype=np.int64)
    places = np.arange(1 + int(np.abs(values).max(initial=0)).bit_length() // _LETTER_BITS)
    parts = values[:, None] >> _LETTER_BITS * places
    # The last letter is the first whose sign bit says all that follows.
    last = (parts >> _LETTER_BITS == -((parts & _SIGN) // _SIGN)).argmax(1)[:, None]
    letters = (parts & _VALUE) + _CONTINUES * (places < last) + _ASCII_OFFSET
    return letters[places <= last].astype(np.uint8).tobytes().decode("ascii")


def _decompress(text: str) -> np.ndarray:
    letters = np.frombuffer(text.encode("ascii"), dtype=np.uint8).astype(np.int64) - _ASCII_OFFSET
    ends = np.flatnonzero(letters & _CONTINUES == 0)
    counts = np.diff(ends, prepend=-1)
    if counts.sum() != len(letters):
        raise UsageError("rle: the compressed counts end in the middle of a number")
    if (counts > _MOST_LETTERS).any():
        raise UsageError(f"rle: the compressed counts have a number of more than {_MOST_LETTERS} letters")
    starts = ends - counts + 1
    shifts = _LETTER_BITS * (np.arange(len(letters)) - np.repeat(starts, counts))
    runs = np.add.reduceat((letters & _VALUE) << shifts, starts) if len(ends) else ends
    runs = runs - np.where(letters[ends] & _SIGN, 1 << _LETTER_BITS * counts, 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """A bool (H, W) mask as COCO's {"size": [H, W], "counts": str} (compressed)."""
    runs = flat_runs(np.asarray(mask, dtype=bool).ravel(order="F"))
    return {"size": [int(side) for side in mask.shape], "counts": _compress(runs)}


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
