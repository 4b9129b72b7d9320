"""What the log says about predictions: is it the right object, and how well does the mask fit?"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.box_formats import to_corners
from ...modeling.losses.box_losses import pairwise_iou_and_giou
from ..data.collation import Batch

DETECTIONS = 100
"""Best (query, class) pairs of an image that the recall looks at."""


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of boolean masks (..., H, W); 0 where both are empty."""
    intersection = (first & second).flatten(-2).sum(-1).float()
    union = (first | second).flatten(-2).sum(-1).float()
    return intersection / union.clamp(min=1)


def at_stride_4(masks: Tensor) -> Tensor:
    """(..., H, W) to (..., H/4, W/4): the pixels that a stride-4 prediction stands for."""
    return masks[..., 2::4, 2::4]


@torch.no_grad()
def batch_measures(output, batch: Batch) -> list[tuple[str, float]]:
    """Per entry: (name, value) pairs, to be averaged.

    `<task>/iou` and `<task>/right` (IoU of the best query's mask above 0.5, and above that with every other object) for
    present targets, `<task>/other` (IoU above 0.5 with another object), `<task>/score` for present and
    `<task>/score_absent` for absent targets. Detection has `detection/recall` instead of `right` and `other`.
    """
    predicted = output.pred_masks[:, 0].float() > 0
    scores = output.logits.float().sigmoid().amax(dim=(1, 2)).tolist()
    stride = batch.targets.shape[-1] // predicted.shape[-1]
    shrink = at_stride_4 if stride == 4 else (lambda masks: masks)
    ious = mask_iou(predicted, shrink(batch.targets > 0.5)).tolist()
    present = batch.targets.flatten(1).any(1).tolist()
    values = []
    for entry, task in enumerate(batch.tasks):
        if not present[entry]:
            values.append((f"{task}/score_absent", scores[entry]))
            continue
        if task == "detection":
            recall = box_recall(output.logits[entry], output.pred_boxes[entry], batch.inputs["labels"][entry])
            values += [(f"{task}/recall", recall), (f"{task}/iou", ious[entry]), (f"{task}/score", scores[entry])]
            continue
        others = shrink(batch.others[entry])
        best_other = float(mask_iou(predicted[entry][None], others).max()) if len(others) else 0.0
        values += [
            (f"{task}/iou", ious[entry]),
            (f"{task}/right", float(ious[entry] > 0.5 and ious[entry] > best_other)),
            (f"{task}/score", scores[entry]),
        ]
        if len(others):
            values.append((f"{task}/other", float(best_other > 0.5)))
    return values


def box_recall(logits: Tensor, boxes: Tensor, label: dict[str, Tensor]) -> float:
    """Share of an image's objects that one of its best `DETECTIONS` boxes meets: same class, IoU above 0.5.

    Args:
        logits: (Q, classes).
        boxes: (Q, 4), centre and size as shares of the image.
        label: `boxes` (n, 4) and `class_labels` (n,) of the objects.
    """
    if not len(label["boxes"]):
        return 1.0
    classes = logits.shape[1]
    best = logits.float().flatten().topk(min(DETECTIONS, logits.numel())).indices
    found = to_corners(boxes.float()[best // classes])
    iou, _ = pairwise_iou_and_giou(to_corners(label["boxes"].float()), found)
    same = label["class_labels"][:, None] == (best % classes)[None]
    return float(((iou > 0.5) & same).any(1).float().mean())
