"""What a person would point at: clicks, boxes and scribbles made of true masks.

Places are shares of the picture's width and height, the centre of the first pixel at half a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ..core.mask_boxes import box_of

KINDS = {"point": 0.4, "box": 0.25, "scribble": 0.1, "clicks": 0.25}
"""How often each is drawn."""
STROKE_POINTS = 8
BOX_JITTER = 0.06
"""Standard deviation of a side's place, as a share of the box's extent."""
NEXT_TO = 0.06
"""How far from the object clicks beside it lie, as a share of the picture's shorter side."""


@dataclass
class Pointed:
    """What one object was pointed at with.

    Attributes:
        points: float32 (P, 2), x and y.
        labels: int64 (P,), 1: the object is here, 0: it is not.
        box: float32 (4,) x0, y0, x1, y1, or None.
    """

    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    box: np.ndarray | None = None


def together(pointed: Sequence[Pointed]) -> dict[str, np.ndarray]:
    """The model's inputs `input_points` (N, P, 2), `input_labels` (N, P), -1: no point, and `input_boxes` (N, 4)."""
    most = max(len(one.labels) for one in pointed)
    points = np.zeros((len(pointed), most, 2), np.float32)
    labels = np.full((len(pointed), most), -1, np.int64)
    boxes = np.zeros((len(pointed), 4), np.float32)
    for row, one in enumerate(pointed):
        points[row, : len(one.points)] = one.points
        labels[row, : len(one.labels)] = one.labels
        if one.box is not None:
            boxes[row] = one.box
    return {"input_points": points, "input_labels": labels, "input_boxes": boxes}


def draw_pointed(target: np.ndarray, others: np.ndarray, rng: np.random.Generator, kind: str = "") -> Pointed:
    """Point at an object as a person might.

    Args:
        target: bool (H, W), at least one pixel.
        others: bool (n, H, W), what else there is to click at.
        kind: of `KINDS`; empty: drawn. `clicks` are one to three, mostly with one or two beside the object. `anywhere`
            is a point at any pixel, while points are deep inside half the time.
    """
    kind = kind or str(rng.choice(list(KINDS), p=list(KINDS.values())))
    if kind == "box":
        return Pointed(box=jittered_box(target, rng))
    if kind == "scribble":
        places = scribble_on(target, rng)
        return Pointed(_shares(places, target), np.ones(len(places), np.int64))
    if kind in ("point", "anywhere"):
        places = clicks_on(target, rng, 1, deep=0.5 if kind == "point" else 0.0)
        return Pointed(_shares(places, target), np.ones(1, np.int64))
    here = clicks_on(target, rng, int(rng.integers(1, 4)))
    beside = clicks_beside(target, others, rng, int(rng.integers(0, 3)))
    labels = np.repeat([1, 0], [len(here), len(beside)])
    pointed = Pointed(_shares(np.concatenate([here, beside]), target), labels.astype(np.int64))
    if rng.random() < 0.15:
        pointed.box = jittered_box(target, rng)
    return pointed


def _shares(places: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Rows and columns (n, 2) of pixels as x and y."""
    return ((places[:, ::-1] + 0.5) / np.array(like.shape[::-1])).astype(np.float32)


def _depths(mask: np.ndarray) -> np.ndarray:
    """How deep in the mask each pixel lies; the picture's edge is one of its edges."""
    return ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]


def clicks_on(target: np.ndarray, rng: np.random.Generator, count: int, deep: float = 0.5) -> np.ndarray:
    """Rows and columns (count, 2) in the object, mostly far apart; the first is `deep` inside with this probability."""
    depths = _depths(target)
    least = depths.max() / 2 if rng.random() < deep else 0.5
    candidates = np.argwhere(depths >= least)
    chosen = [candidates[rng.integers(len(candidates))]]
    while len(chosen) < count:
        some = np.argwhere(target)[rng.integers(int(target.sum()), size=8)]
        apart = np.linalg.norm(some[:, None] - np.array(chosen)[None], axis=2).min(1)
        chosen.append(some[apart.argmax()])
    return np.stack(chosen)


def next_click(before: Pointed, target: np.ndarray, found: np.ndarray) -> Pointed:
    """One more click, where the largest error of an answer is deepest: on the object, or beside it.

    Args:
        before: what was pointed at so far.
        target, found: bool (H, W), the object and the answer; where they are equal, the click repeats that the deepest
            pixel of the object is its own.
    """
    missed, exceeded = _depths(target & ~found), _depths(found & ~target)
    if not max(missed.max(), exceeded.max()):
        missed = _depths(target)
    here = missed.max() >= exceeded.max()
    depths = missed if here else exceeded
    place = np.array(np.unravel_index(depths.argmax(), depths.shape))[None]
    points = np.concatenate([before.points, _shares(place, target)])
    return Pointed(points, np.append(before.labels, int(here)), before.box)


def clicks_beside(target: np.ndarray, others: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Rows and columns (count, 2) on other objects, rather on near ones, or on the background next to the object."""
    chosen = np.zeros((0, 2), np.int64)
    for _ in range(count):
        apart = [mask & ~target for mask in others]
        apart = [mask for mask in apart if mask.any()]
        if apart and rng.random() < 0.7:
            distance = ndimage.distance_transform_edt(~target)
            nearness = np.array([1 / (1 + distance[mask].min()) for mask in apart])
            where = apart[int(rng.choice(len(apart), p=nearness / nearness.sum()))]
        else:
            distance = ndimage.distance_transform_edt(~target)
            where = (distance > 1.5) & (distance < max(4.0, NEXT_TO * min(target.shape)))
        candidates = np.argwhere(where)
        if len(candidates):
            chosen = np.concatenate([chosen, candidates[rng.integers(len(candidates))][None]])
    return chosen


def jittered_box(target: np.ndarray, rng: np.random.Generator, jitter: float = BOX_JITTER) -> np.ndarray:
    """The object's box, its sides misplaced a little; x0, y0, x1, y1 as shares."""
    height, width = target.shape
    x0, y0, x1, y1 = box_of(target)
    sides = np.array([x1 - x0, y1 - y0] * 2)
    moved = np.array([x0, y0, x1, y1]) + sides * np.clip(rng.normal(0, jitter, 4), -2 * jitter, 2 * jitter)
    return (np.clip(moved, 0, [width, height] * 2) / [width, height, width, height]).astype(np.float32)


def scribble_on(target: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows and columns (n, 2) along a bent stroke through the object; what leaves it is left out."""
    depths = _depths(target)
    inner = np.argwhere(depths >= min(2.0, depths.max()))
    some = inner[rng.integers(len(inner), size=12)].astype(float)
    pairs = np.linalg.norm(some[:, None] - some[None], axis=2)
    first, last = np.unravel_index(pairs.argmax(), pairs.shape)
    start, end = some[first], some[last]
    middle = some[rng.integers(len(some))]
    t = np.linspace(0, 1, 3 * STROKE_POINTS)[:, None]
    curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    rows, columns = np.round(curve).astype(int).T
    kept = np.round(curve).astype(int)[target[rows, columns]]
    return kept[np.unique(np.linspace(0, len(kept) - 1, STROKE_POINTS).astype(int))]


def is_one_piece(mask: np.ndarray, least: float = 0.9) -> bool:
    """Whether one connected part has at least this share of a mask."""
    parts, count = ndimage.label(mask)
    return count > 0 and np.bincount(parts.ravel())[1:].max() >= least * mask.sum()
