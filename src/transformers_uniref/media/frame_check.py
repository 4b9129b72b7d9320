"""What every writer of clips asks of a frame."""

from __future__ import annotations

import numpy as np

from ..core.errors import UsageError


def checked_frame(frame: np.ndarray, size: tuple[int, ...] | None) -> np.ndarray:
    """The frame as an array.

    Args:
        frame: uint8 RGB (H, W, 3).
        size: (height, width) of the first frame; None: this is the first.

    Raises:
        ValueError: another type, shape or size.
    """
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3:
        raise UsageError(f"`frame` must be uint8 (height, width, 3), got {frame.dtype} of shape {frame.shape}.")
    if size is not None and frame.shape[:2] != size:
        raise UsageError(f"`frame` must have the first frame's size {size}, got {frame.shape[:2]}.")
    return frame
