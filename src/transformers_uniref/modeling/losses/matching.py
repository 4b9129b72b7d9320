"""Which query learns which target.

The decoder layers use a dynamic one-to-many assignment ("OTA"), the two-stage proposals a one-to-one (Hungarian) one.
Costs are computed on the device for a whole batch and every decoder layer together, and brought to the host in one
transfer; the assignments themselves are small NumPy problems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ...core.box_formats import to_corners
from ...core.errors import UsageError
from .box_losses import pairwise_iou_and_giou

CENTRE_RADIUS: Final = 2.5 / 32  # in fractions of the image, whatever its size
NUM_CANDIDATES: Final = 10
OTA_GIOU_COST: Final = 3.0
OUTSIDE_PAIR_COST: Final = 100.0
OUTSIDE_ALL_COST: Final = 10000.0
TAKEN_COST: Final = 100000.0
HUNGARIAN_CLASS_COST: Final = 2.0
HUNGARIAN_BOX_COST: Final = 5.0
HUNGARIAN_GIOU_COST: Final = 2.0


@dataclass
class Matches:
    """Matched (query, target) pairs of one batch, sorted by entry.

    Attributes:
        entry: (M,) long, index in the batch.
        query: (M,) long, index of the query of that entry.
        target: (M,) long, index of the target *of that entry*.
        flat_target: (M,) long, index into the targets of all entries put one after another.
    """

    entry: Tensor
    query: Tensor
    target: Tensor
    flat_target: Tensor

    def __len__(self) -> int:
        return self.entry.shape[0]

    def of_entry(self, index: int) -> tuple[Tensor, Tensor]:
        """Queries and targets of one entry."""
        chosen = self.entry == index
        return self.query[chosen], self.target[chosen]


def _focal_class_cost(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """(..., N, Q, C) logits, (N, T) labels -> (..., N, Q, T): focal loss as a positive minus as a negative."""
    probability = logits.sigmoid()
    negative = (1 - alpha) * probability**gamma * -(1 - probability + 1e-8).log()
    positive = alpha * (1 - probability) ** gamma * -(probability + 1e-8).log()
    index = labels.unsqueeze(-2).expand(*logits.shape[:-1], labels.shape[-1])
    return (positive - negative).gather(-1, index)


@torch.no_grad()
def ota_costs(
    logits: Tensor, boxes: Tensor, labels: Tensor, target_boxes: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Cost of every query for every target (paper, eq. 8, without its L1 term as released) and how many a target wants.

    cost = class cost - 3 GIoU + 100 [not (centre in the box and centre near the target's centre)] + 10000 [the centre
    is in no box and near no centre of any target]; "near" is 2.5/32 of the image along each axis.
    k = max(1, int(sum of the 10 largest IoUs)).

    Args:
        logits: (L, N, Q, C).
        boxes: (L, N, Q, 4) cxcywh.
        labels: (N, T) long, padded.
        target_boxes: (N, T, 4) cxcywh, padded.
        valid: (N, T) bool, False for padding.

    Returns:
        cost (L, N, Q, T) and k (L, N, T) long.
    """
    logits, boxes, target_boxes = logits.float(), boxes.float(), target_boxes.float()
    target_corners = to_corners(target_boxes)
    iou, giou = pairwise_iou_and_giou(to_corners(boxes), target_corners)

    centres = boxes[..., None, :2]
    corners = target_corners.unsqueeze(-3)
    in_box = ((centres > corners[..., :2]) & (centres < corners[..., 2:])).all(-1) & valid.unsqueeze(-2)
    middle = target_boxes[..., None, :, :2]
    near_low, near_high = middle - CENTRE_RADIUS, middle + CENTRE_RADIUS
    near_centre = ((centres > near_low) & (centres < near_high)).all(-1) & valid.unsqueeze(-2)
    reachable = (in_box | near_centre).any(-1, keepdim=True)

    cost = _focal_class_cost(logits, labels) - OTA_GIOU_COST * giou + OUTSIDE_PAIR_COST * ~(in_box & near_centre)
    cost = torch.where(reachable, cost, cost + OUTSIDE_ALL_COST)
    best = iou.topk(min(NUM_CANDIDATES, iou.shape[-2]), dim=-2).values
    return cost, best.sum(-2).int().clamp(min=1).long()


def assign_dynamic_k(cost: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each target its `wanted` cheapest queries, each query to at most one target, and no target nothing.

    A query wanted by several targets goes to the one it is cheapest for. Targets left with nothing take the cheapest
    query that is still free, in rounds. In those rounds only queries contested *at first* are de-duplicated again, as
    in the released training, so two targets can meet on one free query; it then goes to the first.

    Args:
        cost: (Q, T) float32.
        wanted: (T,) integers, at least 1.

    Returns:
        Query indices (ascending) and their target indices.
    """
    num_queries, num_targets = cost.shape
    cost = cost.copy()
    taken = np.zeros((num_queries, num_targets), dtype=bool)
    order = np.argsort(cost, axis=0, kind="stable")
    for target in range(num_targets):
        taken[order[: wanted[target], target], target] = True
    contested = taken.sum(1) > 1

    def settle() -> None:
        cheapest = cost[contested].argmin(1)
        taken[contested] = False
        taken[contested, cheapest] = True

    settle()
    for _ in range(num_targets):  # one round is the rule; more targets than queries would never end
        empty = np.flatnonzero(~taken.any(0))
        if empty.size == 0:
            break
        cost[taken.any(1)] += np.float32(TAKEN_COST)
        taken[cost[:, empty].argmin(0), empty] = True
        if (taken.sum(1) > 1).any():
            settle()
    queries = np.flatnonzero(taken.any(1))
    return queries, taken[queries].argmax(1)


def _pad_targets(labels: list[Tensor], boxes: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    lengths = torch.tensor([len(entry) for entry in labels], device=boxes[0].device)
    padded_labels = pad_sequence(labels, batch_first=True)
    padded_boxes = pad_sequence(boxes, batch_first=True)
    valid = torch.arange(padded_labels.shape[1], device=lengths.device) < lengths.unsqueeze(1)
    return padded_labels, padded_boxes, valid


Pairs = tuple[np.ndarray, np.ndarray]
"""Queries and the targets that they are given."""


def _match_layers(
    assign: Callable[[int, int, int], Pairs], layers: int, counts: list[int], device: torch.device
) -> list[Matches]:
    """What `assign(layer, entry, targets)` finds for the entries that have targets."""
    none = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(counts)[:-1]])
    matches = []
    for layer in range(layers):
        pairs = [assign(layer, n, t) if t else none for n, t in enumerate(counts)]
        entry = np.concatenate([np.full(len(query), index) for index, (query, _) in enumerate(pairs)])
        query = np.concatenate([query for query, _ in pairs])
        target = np.concatenate([target for _, target in pairs])
        table = np.stack([entry, query, target, target + offsets[entry]]).astype(np.int64)
        matches.append(Matches(*torch.from_numpy(table).to(device).unbind(0)))
    return matches


class NonFinitePredictionsError(UsageError):
    """Predictions that cannot be matched because they are NaN or infinite."""


def _require_finite(cost: np.ndarray) -> None:
    if not np.isfinite(cost).all():
        raise NonFinitePredictionsError(
            "logits or boxes: got NaN or infinite predictions, accepted are finite ones; the training has diverged "
            "(lower the learning rate or clip the gradient)"
        )


@torch.no_grad()
def ota_match(logits: Tensor, boxes: Tensor, labels: list[Tensor], target_boxes: list[Tensor]) -> list[Matches]:
    """One-to-many matching of every decoder layer on its own predictions.

    Args:
        logits: (L, N, Q, C).
        boxes: (L, N, Q, 4) cxcywh, fractions of the unpadded image.
        labels: N tensors (t,) long; t may be 0.
        target_boxes: N tensors (t, 4) cxcywh.

    Returns:
        L matches, queries ascending within an entry.
    """
    counts = [len(entry) for entry in labels]
    cost_table = wanted_table = np.empty(0)
    if any(counts):
        cost, wanted = ota_costs(logits, boxes, *_pad_targets(labels, target_boxes))
        cost_table, wanted_table = cost.cpu().numpy(), wanted.cpu().numpy()
        _require_finite(cost_table)

    def assign(layer: int, n: int, t: int) -> Pairs:
        return assign_dynamic_k(cost_table[layer, n, :, :t], wanted_table[layer, n, :t])

    return _match_layers(assign, len(logits), counts, boxes.device)


@torch.no_grad()
def hungarian_match(logits: Tensor, boxes: Tensor, labels: list[Tensor], target_boxes: list[Tensor]) -> list[Matches]:
    """One-to-one matching with cost 2 class + 5 L1 - 2 GIoU; arguments and result as for `ota_match`."""
    counts = [len(entry) for entry in labels]
    cost_table = np.empty(0)
    if any(counts):
        padded_labels, padded_boxes, _ = _pad_targets(labels, target_boxes)
        given, padded_boxes = boxes.float(), padded_boxes.float()
        _, giou = pairwise_iou_and_giou(to_corners(given), to_corners(padded_boxes))
        distance = (given.unsqueeze(-2) - padded_boxes.unsqueeze(-3)).abs().sum(-1)
        cost = HUNGARIAN_CLASS_COST * _focal_class_cost(logits.float(), padded_labels)
        cost_table = (cost + HUNGARIAN_BOX_COST * distance - HUNGARIAN_GIOU_COST * giou).cpu().numpy()
        _require_finite(cost_table)
    return _match_layers(
        lambda layer, n, t: linear_sum_assignment(cost_table[layer, n, :, :t]), len(logits), counts, boxes.device
    )
