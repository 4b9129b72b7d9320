"""What few-shot segmentation reports: IoU by class, by picture, and of foreground and background.

Two measures are called mIoU. The field's standard (Shaban et al., "One-Shot Learning for Semantic Segmentation", BMVC
2017) is the mean over classes, `class_mean_iou`; for FSS-1000 the released UniRef++ code reports that over pictures,
`image_mean_iou`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from ..core.errors import UsageError
from .region import smoothed_ratio


def class_mean_iou(
    intersections: Sequence[int], unions: Sequence[int], categories: Sequence[Hashable]
) -> tuple[float, dict[Hashable, float]]:
    """mIoU by class: each class's intersections together over its unions together, then the mean over classes.

    Args:
        intersections: (n,) pixels, one for each query picture.
        unions: (n,) pixels.
        categories: (n,) the class of each.

    Returns:
        The mean, and the IoU of each class in order of appearance. A class whose unions have no pixel is left out.

    Raises:
        ValueError: different lengths, or no class with a pixel.
    """
    if not len(intersections) == len(unions) == len(categories):
        raise UsageError(
            "`intersections`, `unions` and `categories` must be equally many, got "
            f"{len(intersections)}, {len(unions)} and {len(categories)}"
        )
    sums: dict[Hashable, list[int]] = {}
    for intersection, union, category in zip(intersections, unions, categories, strict=True):
        of_class = sums.setdefault(category, [0, 0])
        of_class[0] += int(intersection)
        of_class[1] += int(union)
    by_class = {category: inside / outside for category, (inside, outside) in sums.items() if outside}
    if not by_class:
        raise UsageError("`unions` must hold a pixel, got none in any of them")
    return float(np.mean(list(by_class.values()))), by_class


def image_mean_iou(intersections: Sequence[int], unions: Sequence[int]) -> float:
    """mIoU by picture: the mean over query pictures of each one's IoU, classes disregarded.

    Args:
        intersections: (n,) pixels, one for each query picture.
        unions: (n,) pixels; a picture without a pixel in its union has IoU 1.

    Raises:
        ValueError: different lengths, or no picture.
    """
    return float(smoothed_ratio(*_counts(intersections, unions)).mean())


def foreground_background_iou(
    intersections: Sequence[int], unions: Sequence[int], pixels: Sequence[int] | int
) -> float:
    """FB-IoU: the mean of the foreground's overall IoU and the background's, classes disregarded.

    Args:
        intersections: (n,) pixels of the foreground.
        unions: (n,) pixels of the foreground.
        pixels: (n,) pixels of each picture, or one number for all.

    Raises:
        ValueError: different lengths, no picture, or pictures that are foreground everywhere or nowhere.
    """
    inside, outside = _counts(intersections, unions)
    whole = np.broadcast_to(np.asarray(pixels, dtype=np.int64), inside.shape)
    background_union = int((whole - inside).sum())
    if not outside.sum() or not background_union:
        raise UsageError("`unions` must leave foreground and background somewhere, got pictures with only one of them")
    foreground = inside.sum() / outside.sum()
    return float((foreground + (whole - outside).sum() / background_union) / 2)


def _counts(intersections: Sequence[int], unions: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    inside, outside = np.asarray(intersections, dtype=np.int64), np.asarray(unions, dtype=np.int64)
    if inside.ndim != 1 or inside.shape != outside.shape or not len(inside):
        raise UsageError(f"`intersections` and `unions` must be equally many, got {inside.shape} and {outside.shape}")
    return inside, outside
