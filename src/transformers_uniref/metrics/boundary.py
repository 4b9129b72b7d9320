"""Contour accuracy F of DAVIS (Perazzi et al., "A benchmark dataset and evaluation methodology for video object
segmentation", CVPR 2016): how far two masks have the same outline, give or take a few pixels.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.errors import UsageError
from .outlines import Outline
from .region import check_masks

TOLERANCE = 0.008
"""Share of the picture's diagonal."""

AREA_TOLERANCE = 0.1
"""Share of the square root of an object's area, for `adaptive_radius`."""


def diagonal_radius(shape: tuple[int, ...], tolerance: float = TOLERANCE) -> int:
    """How far apart outlines may be in DAVIS: ceil(`tolerance` * diagonal) pixels.

    Args:
        shape: (H, W) of the picture.
        tolerance: share of the diagonal.
    """
    return math.ceil(tolerance * float(np.linalg.norm(shape)))


def adaptive_radius(target: np.ndarray, tolerance: float = AREA_TOLERANCE) -> float:
    """How far apart outlines may be in MOSEv2: min(ceil(`tolerance` * sqrt(area)), 0.008 * diagonal) pixels.

    The second bound, of large objects and of frames without the object, is not rounded: the disk is then a little
    smaller than that of DAVIS and off-centre, see `outlines.disk_offsets`. Small objects get less than in DAVIS.

    Args:
        target: bool (H, W), the true mask.
        tolerance: share of the square root of the area.
    """
    bound = TOLERANCE * float(np.linalg.norm(target.shape))
    area = int(np.count_nonzero(target))
    return min(bound, math.ceil(tolerance * math.sqrt(area))) if area else bound


def outline_measure(predicted: Outline, target: Outline, radius: float) -> float:
    """F of two outlines, see `boundary_measure`. An outline may be compared many times."""
    if not len(predicted) or not len(target):
        return float(len(predicted) == len(target))
    precision = predicted.count_near(target, radius) / len(predicted)
    recall = target.count_near(predicted, radius) / len(target)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_measure(
    predicted: np.ndarray,
    target: np.ndarray,
    tolerance: float = TOLERANCE,
    *,
    void: np.ndarray | None = None,
    radius: float | None = None,
) -> float:
    """F: harmonic mean of the outline's precision and recall.

    Precision is the share of the predicted outline's pixels within r pixels of the true outline, recall the share of
    the true outline's within r pixels of the predicted one, r = ceil(`tolerance` * diagonal). An outline without
    pixels has precision (or recall) 1 and the other one 0 towards it; two such outlines agree.

    Args:
        predicted: bool (H, W).
        target: bool (H, W).
        tolerance: share of the diagonal.
        void: bool (H, W), pixels that count as background in both masks; their rim is an outline, as in DAVIS.
        radius: r in pixels instead.

    Returns:
        0..1.

    Raises:
        TypeError: a mask that is not bool.
        ValueError: masks of different sizes, or with more than two axes.
    """
    check_masks(predicted, target)
    if predicted.ndim != 2 or target.ndim != 2:
        raise UsageError(f"`predicted` and `target` must be (height, width), got {predicted.shape} and {target.shape}")
    if void is not None:
        check_masks(void, target, ("void", "target"))
        predicted, target = predicted & ~void, target & ~void
    radius = diagonal_radius(target.shape, tolerance) if radius is None else radius
    return outline_measure(Outline(predicted), Outline(target), radius)
