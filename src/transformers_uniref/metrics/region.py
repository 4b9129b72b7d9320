"""How far two masks are the same pixels: IoU, and what referring segmentation makes of it.

Every function takes masks at the resolution at which they are to be judged; papers use the picture's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.errors import KindError, UsageError

PRECISION_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def check_masks(predicted: np.ndarray, target: np.ndarray, names: tuple[str, str] = ("predicted", "target")) -> None:
    """Raises TypeError unless both are bool arrays, ValueError unless their pictures have one size."""
    for name, mask in zip(names, (predicted, target), strict=True):
        if not isinstance(mask, np.ndarray) or mask.dtype != bool:
            raise KindError(f"`{name}` must be a bool array, got {getattr(mask, 'dtype', type(mask).__name__)}")
        if mask.ndim < 2:
            raise UsageError(f"`{name}` must have shape (..., height, width), got {mask.shape}")
    if predicted.shape[-2:] != target.shape[-2:]:
        raise UsageError(
            f"`{names[0]}` and `{names[1]}` must have one size, got {predicted.shape[-2:]} and {target.shape[-2:]}"
        )


def intersection_and_union(predicted: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts the pixels that are in both masks, and those that are in either.

    Args:
        predicted: bool (..., H, W).
        target: bool (..., H, W); leading axes broadcast.

    Returns:
        Two integer arrays (...).

    Raises:
        TypeError: a mask that is not bool.
        ValueError: pictures of different sizes.
    """
    check_masks(predicted, target)
    return (predicted & target).sum((-2, -1)), (predicted | target).sum((-2, -1))


def iou(predicted: np.ndarray, target: np.ndarray, *, void: np.ndarray | None = None, smoothing: int = 0) -> np.ndarray:
    """Intersection over union, which DAVIS calls region similarity J.

    Args:
        predicted: bool (..., H, W).
        target: bool (..., H, W); leading axes broadcast.
        void: bool (..., H, W), pixels that count as background in both masks.
        smoothing: added to the intersection and to the union; MOSEv2 adds 1.

    Returns:
        float (...) in 0..1; 1 where both are empty (the rule of DAVIS: finding nothing where there is nothing).

    Raises:
        TypeError, ValueError: see `intersection_and_union`.
    """
    if void is not None:
        check_masks(void, target, ("void", "target"))
        predicted, target = predicted & ~void, target & ~void
    return smoothed_ratio(*intersection_and_union(predicted, target), smoothing)


def smoothed_ratio(intersection: np.ndarray | int, union: np.ndarray | int, smoothing: int = 0) -> np.ndarray:
    """`iou` of counted pixels."""
    return np.where(np.asarray(union) > 0, (intersection + smoothing) / np.maximum(union + smoothing, 1), 1.0)


def mean_iou(ious: Sequence[float] | np.ndarray) -> float:
    """mIoU: the mean over sentences of each sentence's IoU.

    Raises:
        ValueError: no IoU at all.
    """
    return float(np.mean(_some(ious, "ious")))


def overall_iou(intersections: Sequence[int] | np.ndarray, unions: Sequence[int] | np.ndarray) -> float:
    """oIoU: all intersections together over all unions together, so that large objects count more.

    Args:
        intersections: (n,) pixels.
        unions: (n,) pixels.

    Raises:
        ValueError: nothing to measure, different lengths, or no pixel in any union.
    """
    intersections, unions = _some(intersections, "intersections"), _some(unions, "unions")
    if intersections.shape != unions.shape:
        raise UsageError(f"`unions` must be as many as `intersections`, got {len(unions)} and {len(intersections)}")
    if not unions.any():
        raise UsageError("`unions` must hold a pixel, got none in any of them")
    return float(intersections.sum() / unions.sum())


def precision_at(
    ious: Sequence[float] | np.ndarray, thresholds: Sequence[float] = PRECISION_THRESHOLDS, *, inclusive: bool = False
) -> dict[float, float]:
    """P@K: for each threshold, the share of sentences whose IoU is above it.

    Args:
        ious: (n,) of each sentence.
        thresholds: in 0..1.
        inclusive: count an IoU that equals the threshold. The released UniRef++ code does not (`>`), those of LAVT and
            of ReLA do (`>=`).

    Raises:
        ValueError: no IoU at all.
    """
    values = _some(ious, "ious")
    above = np.greater_equal if inclusive else np.greater
    return {threshold: float(above(values, threshold).mean()) for threshold in thresholds}


def most_overlapping(predicted: np.ndarray, masks: np.ndarray) -> int | None:
    """Which of several objects a mask is on.

    Args:
        predicted: bool (H, W).
        masks: bool (n, H, W), one for each object.

    Returns:
        The index of the object with the highest IoU, the first among equals; None when it overlaps none of them.

    Raises:
        TypeError, ValueError: see `intersection_and_union`.
    """
    intersection, union = intersection_and_union(predicted, masks)
    if not intersection.any():
        return None
    return int(np.argmax(intersection / np.maximum(union, 1)))


def _some(values: Sequence[float] | np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1 or len(array) == 0:
        raise UsageError(f"`{name}` must be a list of at least one number, got shape {array.shape}")
    return array
