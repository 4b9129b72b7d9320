"""Boxes as centre and size, boxes as corners: Transformers' conversions with types."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from transformers.image_transforms import center_to_corners_format, corners_to_center_format

Boxes = TypeVar("Boxes")
"""A tensor or an array (..., 4)."""


def to_corners(boxes: Boxes) -> Boxes:
    """(..., 4) centre x, centre y, width, height -> x0, y0, x1, y1."""
    return cast(Boxes, center_to_corners_format(cast(Any, boxes)))


def to_centres(boxes: Boxes) -> Boxes:
    """(..., 4) x0, y0, x1, y1 -> centre x, centre y, width, height."""
    return cast(Boxes, corners_to_center_format(cast(Any, boxes)))
