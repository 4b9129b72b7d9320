"""Clicks, boxes and scribbles in the picture itself, as a user gives them -> what the model takes.

For models with an encoder of them (`use_point_references`); for others a mask is drawn (`drawn_references.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import UsageError
from .drawn_references import box_mask, checked_box, point_mask, points_inside, scribble_mask, strokes_of

STROKE_POINTS = 16
"""A scribble becomes so many clicks, evenly spaced along it."""
GIVEN = ("input_points", "input_labels", "input_boxes", "input_scribbles")


def split_objects(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was pointed at, object by object.

    Args:
        given: some of `GIVEN`. Points: (x, y) or several of one object, or a list of the latter, one for each object.
            Labels: arranged like the points. Boxes: x0, y0, x1, y1, or a list of them, None where an object has none.
            Scribbles: points (n, 2) of a stroke, or a list of strokes, one for each object.

    Raises:
        ValueError: labels without points, nothing at all, or arguments about unequally many objects.
    """
    known = {name: value for name, value in given.items() if value is not None}
    if "input_labels" in known and "input_points" not in known:
        raise UsageError("`input_labels` came without `input_points`; a label says what a click means.")
    depths = {"input_points": 3, "input_labels": 2, "input_boxes": 2, "input_scribbles": 3}
    several = {name: _depth(value) >= depths[name] for name, value in known.items()}
    if "input_labels" in several:
        several["input_labels"] = several["input_points"]
    lists = {name: list(value) if several[name] else [value] for name, value in known.items()}
    counts = {name: len(values) for name, values in lists.items()}
    if not counts or len(set(counts.values())) > 1 or not next(iter(counts.values())):
        found = ", ".join(f"{count} of {name}" for name, count in counts.items()) or "none"
        raise UsageError(
            f"`input_points`, `input_boxes` and `input_scribbles` must say where equally many objects are, "
            f"one or more; got {found}."
        )
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _depth(value: Any) -> int:
    """How many lists lie around a number; the first that is no None says."""
    if hasattr(value, "ndim"):
        return int(value.ndim)
    if not isinstance(value, Sequence) or isinstance(value, str):
        return 0
    return 1 + max((_depth(item) for item in value), default=0)


def model_inputs(
    objects: Sequence[Mapping[str, Any]], sizes: Sequence[tuple[int, int]], points_name: str = "input_points"
) -> dict[str, Tensor]:
    """What the model takes of objects, each in a picture of this (height, width).

    `points_name` is what the user calls the points, for messages.

    Returns:
        `input_points` float32 (N, P, 2), `input_labels` int64 (N, P), -1 where there is no click, and `input_boxes`
        float32 (N, 4), zeros where there is no box: all as shares of the picture's sides.

    Raises:
        TypeError, ValueError: see `drawn_references`; labels that are not 0 and 1, or not as many as points.
    """
    rows = [_clicks(one, size, points_name) for one, size in zip(objects, sizes, strict=True)]
    most = max(len(labels) for _, labels, _ in rows)
    points, labels, boxes = np.zeros((len(rows), most, 2)), np.full((len(rows), most), -1), np.zeros((len(rows), 4))
    for row, ((own, meaning, box), (height, width)) in enumerate(zip(rows, sizes, strict=True)):
        points[row, : len(own)] = own / [width, height]
        labels[row, : len(own)] = meaning
        boxes[row] = np.clip(box / [width, height, width, height], 0, 1)
    return {
        "input_points": torch.from_numpy(points.astype(np.float32)),
        "input_labels": torch.from_numpy(labels.astype(np.int64)),
        "input_boxes": torch.from_numpy(boxes.astype(np.float32)),
    }


def drawn_mask(one: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The mask, bool of this (height, width), that stands for what points at one object.

    Raises:
        TypeError, ValueError: as `model_inputs`; a click beside the object, which no mask says.
    """
    points, labels, _ = _clicks({name: value for name, value in one.items() if name != "input_scribbles"}, size)
    if (labels == 0).any():
        raise UsageError(
            "`input_labels` has a 0, a click beside the object, and this model has no encoder of clicks "
            "(use_point_references): the mask that is drawn for it cannot say that."
        )
    masks = []
    if len(points):
        masks.append(point_mask(points, size))
    if one.get("input_boxes") is not None:
        masks.append(box_mask(one["input_boxes"], size))
    if one.get("input_scribbles") is not None:
        masks.append(scribble_mask(one["input_scribbles"], size))
    return np.logical_or.reduce(masks)


def _clicks(
    one: Mapping[str, Any], size: tuple[int, int], name: str = "input_points"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (P, 2) and labels (P,), and the box (4,), zeros for none; in pixels."""
    points, labels, box = [np.zeros((0, 2))], [np.zeros(0, np.int64)], np.zeros(4)
    if one.get("input_points") is not None:
        points.append(points_inside(one["input_points"], size, name))
        labels.append(_labels(one.get("input_labels"), len(points[-1]), name.replace("points", "labels")))
    for stroke in [] if one.get("input_scribbles") is None else strokes_of(one["input_scribbles"], size):
        points.append(_along(stroke))
        labels.append(np.ones(len(points[-1]), np.int64))
    if one.get("input_boxes") is not None:
        box = checked_box(one["input_boxes"], size)
    return np.concatenate(points), np.concatenate(labels), box


def _labels(given: Any, count: int, name: str) -> np.ndarray:
    if given is None:
        return np.ones(count, np.int64)
    labels = np.atleast_1d(np.asarray(given.cpu() if hasattr(given, "cpu") else given))
    if labels.shape != (count,) or not np.isin(labels, (0, 1)).all():
        raise UsageError(
            f"`{name}` must hold 1 (here is the object) or 0 (here it is not) for each of {count} points, got "
            f"{given!r}."
        )
    return labels.astype(np.int64)


def _along(stroke: np.ndarray) -> np.ndarray:
    """Points evenly spaced along a stroke (n, 2)."""
    lengths = np.concatenate([[0], np.linalg.norm(np.diff(stroke, axis=0), axis=1).cumsum()])
    if lengths[-1] == 0:
        return stroke[:1]
    at = np.linspace(0, lengths[-1], STROKE_POINTS)
    return np.stack([np.interp(at, lengths, stroke[:, axis]) for axis in (0, 1)], axis=1)
