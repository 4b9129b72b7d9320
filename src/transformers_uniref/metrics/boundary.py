"""Contour accuracy F of DAVIS (Perazzi et al., "A benchmark dataset and evaluation methodology for video object
segmentation", CVPR 2016): how far two masks have the same outline, give or take a few pixels.
"""

from __future__ import annotations

import math

import numpy as np

from .region import check_masks

TOLERANCE = 0.008
"""Share of the picture's diagonal."""


def boundary_map(mask: np.ndarray) -> np.ndarray:
    """The pixels of a mask's outline.

    A pixel belongs to the outline when its neighbour to the right, below, or below to the right has another value: the
    outline is one pixel wide and lies half a pixel up and left. Beyond the picture's edge there are no neighbours.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W).
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, diagonal = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask != right) | (mask != below) | (mask != diagonal)


def boundary_measure(predicted: np.ndarray, target: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """F: harmonic mean of the outline's precision and recall.

    Precision is the share of the predicted outline's pixels within r pixels of the true outline, recall the share of
    the true outline's within r pixels of the predicted one, r = ceil(`tolerance` * diagonal). An outline without
    pixels has precision (or recall) 1 and the other one 0 towards it; two such outlines agree.

    Args:
        predicted: bool (H, W).
        target: bool (H, W).
        tolerance: share of the diagonal.

    Returns:
        0..1.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: masks of different sizes, or with more than two axes.
    """
    check_masks(predicted, target)
    if predicted.ndim != 2 or target.ndim != 2:
        raise ValueError(f"`predicted` and `target` must be (height, width), got {predicted.shape} and {target.shape}")
    radius = math.ceil(tolerance * math.hypot(*target.shape))
    found, wanted = np.argwhere(boundary_map(predicted)), np.argwhere(boundary_map(target))
    if not len(found) or not len(wanted):
        return float(len(found) == len(wanted))
    precision, recall = _share_near(found, wanted, radius), _share_near(wanted, found, radius)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share_near(points: np.ndarray, others: np.ndarray, radius: int) -> float:
    """Share of points (n, 2) with one of the others (m, 2) within `radius`, inclusive."""
    from scipy.spatial import cKDTree

    # The bound is exclusive; distances to pixels are roots of integers, so `<= radius` is exact.
    distances, _ = cKDTree(others).query(points, distance_upper_bound=radius + 0.5)
    return float((distances <= radius).mean())
