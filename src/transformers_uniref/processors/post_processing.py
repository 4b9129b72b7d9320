"""From the model's outputs to masks, boxes and scores at the size of the user's pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..core.box_formats import to_corners
from ..core.errors import UsageError
from ..core.score_gate import check_threshold, passes
from ..modeling.object_choice import MOST_OBJECTS, choose_everything
from .all_targets import ObjectChoice, Targets, check_targets, choose_objects

NMS_THRESHOLD = 0.7
MASK_STRIDE = 4


def scale_boxes(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(..., 4) relative cxcywh -> xyxy in pixels of a (height, width) picture, clipped to it."""
    scale = boxes.new_tensor([size[1], size[0], size[1], size[0]])
    return (to_corners(boxes) * scale).clamp(min=torch.zeros_like(scale), max=scale)


def pairwise_iou(boxes: torch.Tensor) -> torch.Tensor:
    """(n, 4) xyxy -> (n, n) intersection over union."""
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1)
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    return overlap / (area[:, None] + area[None] - overlap).clamp(min=1e-12)


def class_wise_nms(
    boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, threshold: float = NMS_THRESHOLD
) -> torch.Tensor:
    """Indices of the boxes that survive, best first.

    A box goes when a better one of its class overlaps it by more than `threshold`.

    Args:
        boxes: (n, 4) xyxy, any unit.
        scores: (n,).
        labels: (n,) classes.
        threshold: IoU, strict >.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes, labels = boxes[order], labels[order]
    conflict = (pairwise_iou(boxes) > threshold) & (labels[:, None] == labels[None])
    conflicts = conflict.cpu().numpy()
    alive = np.ones(len(order), dtype=bool)
    for index in range(len(order)):
        if alive[index]:
            alive[index + 1 :] &= ~conflicts[index, index + 1 :]
    return order[torch.from_numpy(alive).to(order.device)]


def restore_mask(
    logits: torch.Tensor,
    valid_size: tuple[int, int],
    target_size: tuple[int, int],
    mask_threshold: float = 0.5,
    mask_stride: int = MASK_STRIDE,
) -> torch.Tensor:
    """One mask at the size of its picture.

    Logits x4 bilinear, sigmoid > threshold, padding cut off; the *binary* mask is then resized by nearest neighbour.

    Args:
        logits: (h, w), at 1 / `mask_stride` of the padded network input.
        valid_size: (height, width) of the unpadded network input.
        target_size: (height, width) of the result.
        mask_threshold: probability, strict >.
        mask_stride: 4, or 1 for masks made with `full_resolution_masks=True`.

    Returns:
        bool `target_size`.
    """
    grown = logits[None, None].float()
    if mask_stride != 1:
        grown = F.interpolate(grown, scale_factor=mask_stride, mode="bilinear", align_corners=False)
    binary = grown[..., : valid_size[0], : valid_size[1]].sigmoid() > mask_threshold
    if tuple(binary.shape[-2:]) != tuple(target_size):
        binary = F.interpolate(binary.float(), size=tuple(target_size), mode="nearest") > 0.5
    return binary[0, 0]


def mask_bounds(mask: torch.Tensor) -> torch.Tensor:
    """The box (4,) x0, y0, x1, y1 around a bool mask (H, W), upper ends exclusive; zeros around nothing."""
    rows, columns = (mask.any(axis).nonzero().flatten() for axis in (1, 0))
    if len(rows) == 0:
        return torch.zeros(4, device=mask.device)
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()


# ----------------------------------------------------------------------------------------------------- whole outputs
def check_target_sizes(target_sizes: Any, count: int) -> list[tuple[int, int]] | None:
    """Pairs (height, width) of positive integers, one for each entry; None stays None.

    Raises:
        ValueError: another number of pairs than entries, or no such pairs.
    """
    if target_sizes is None:
        return None
    given = target_sizes.tolist() if isinstance(target_sizes, (torch.Tensor, np.ndarray)) else list(target_sizes)
    if len(given) != count:
        raise UsageError(f"`target_sizes` must hold one (height, width) for each of {count} entries, got {len(given)}.")
    sizes = []
    for pair in given:
        values = [int(side) for side in pair] if isinstance(pair, (list, tuple, np.ndarray, torch.Tensor)) else []
        if len(values) != 2 or min(values) < 1:
            raise UsageError(f"`target_sizes` must hold pairs (height, width) of 1 or more, got {pair!r}.")
        sizes.append((values[0], values[1]))
    return sizes


def _stride(outputs: Any, given: int | None) -> int:
    """What the masks are smaller by than the padded input: as given, or told from its size or the unpadded inputs'."""
    padded, sizes = getattr(outputs, "padded_sizes", None), getattr(outputs, "image_sizes", None)
    if given is None and padded is not None and len(padded) > 0:
        return int(padded[0, 0]) // outputs.pred_masks.shape[-2]
    if given is not None or sizes is None:
        return MASK_STRIDE if given is None else given
    # A mask at a quarter of the padded input is smaller than any picture in it.
    return 1 if outputs.pred_masks.shape[-2] >= int(sizes[:, 0].max()) else MASK_STRIDE


def _entries(outputs: Any, target_sizes: Any, mask_stride: int) -> Iterator[tuple[int, Any, Any, Any, Any]]:
    """(index, query indices with a mask (m,), their scores (m, classes), valid size, target size) of each entry."""
    count = outputs.pred_masks.shape[0]
    targets = check_target_sizes(target_sizes, count)
    scores = outputs.logits.float().sigmoid()
    sizes = getattr(outputs, "image_sizes", None)
    for index in range(count):
        if sizes is None:
            valid = tuple(side * mask_stride for side in outputs.pred_masks.shape[-2:])
        else:
            valid = tuple(int(side) for side in sizes[index])
        queries = outputs.mask_queries[index]
        yield index, queries, scores[index, queries], valid, valid if targets is None else targets[index]


def post_process_referring_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    threshold: float | None = None,
    mask_threshold: float = 0.5,
    mask_stride: int | None = None,
    targets: Targets = "one",
    choice: ObjectChoice | None = None,
) -> list[dict[str, Any]]:
    """The best object of each batch entry, or all that are meant, at the size of the user's picture.

    Args:
        outputs: what the model returned: `logits`, `pred_boxes`, `pred_masks`, `mask_queries`, `image_sizes`,
            `padded_sizes`.
        target_sizes: (height, width) for each entry, a list or a tensor (N, 2); None keeps the network's size.
        threshold: the score gate. An object whose score is not above it gets an empty mask ("not in the picture");
            None keeps every one, as the released code does; `post_process_answers` gates as the model asks.
        mask_threshold: probability above which a pixel belongs to the object.
        mask_stride: 4, or 1 for outputs of `full_resolution_masks=True`. Default: told from the outputs.
        targets: "one", the released rule: the best query. "all": none, one or many; `outputs` then come from a call
            with `num_masks="all"`.
        choice: which queries are objects beside the best one; a processor gives that of its model.

    Returns:
        For each entry `segmentation` bool (height, width), `score` in 0..1, `box` float (4,) x0, y0, x1, y1 in
        pixels: the model's, or that around the mask for a model that predicts none (UniRef-SAM). With
        `targets="all"` the mask is the union of the objects, the score that of the best query, the box the one
        around the union, and `objects` a list of such dictionaries, best first, empty where nothing passes.

    Raises:
        ValueError: another number of sizes than entries; a threshold outside 0..1; other `targets`; "all" without
            the masks of all queries.
    """
    check_threshold(threshold, "threshold")
    check_threshold(mask_threshold, "mask_threshold")
    check_targets(targets)
    mask_stride = _stride(outputs, mask_stride)
    predicted = getattr(outputs, "pred_boxes", None)
    if targets == "all":
        return _all_objects(outputs, target_sizes, threshold, mask_threshold, mask_stride, choice or ObjectChoice())
    results = []
    for index, queries, scores, valid, target in _entries(outputs, target_sizes, mask_stride):
        best = int(scores.amax(-1).argmax())
        score = float(scores[best].max())
        box = None
        if predicted is not None:
            box = scale_boxes(predicted[index, queries[best]].float(), target)
        vanished = box is not None and bool((box[2:] <= box[:2]).any())
        if vanished or not passes(score, threshold):
            mask = torch.zeros(target, dtype=torch.bool, device=outputs.pred_masks.device)
        else:
            mask = restore_mask(outputs.pred_masks[index, best], valid, target, mask_threshold, mask_stride)
        results.append({"segmentation": mask, "score": score, "box": mask_bounds(mask) if box is None else box})
    return results


def _all_objects(
    outputs: Any,
    target_sizes: Any,
    threshold: float | None,
    mask_threshold: float,
    mask_stride: int,
    choice: ObjectChoice,
) -> list[dict[str, Any]]:
    _require_all_masks(outputs, "targets='all'")
    predicted = getattr(outputs, "pred_boxes", None)
    results = []
    for index, queries, scores, valid, target in _entries(outputs, target_sizes, mask_stride):
        masks = torch.stack(
            [restore_mask(one, valid, target, mask_threshold, mask_stride) for one in outputs.pred_masks[index]]
        )
        best_scores = scores.amax(-1)
        objects = []
        union = torch.zeros_like(masks[0])
        for query in choose_objects(masks, best_scores, threshold, choice):
            union |= masks[query]
            own = mask_bounds(masks[query])
            box = own if predicted is None else scale_boxes(predicted[index, queries[query]].float(), target)
            objects.append({"segmentation": masks[query], "score": float(best_scores[query]), "box": box})
        score = float(best_scores.max())
        results.append({"segmentation": union, "score": score, "box": mask_bounds(union), "objects": objects})
    return results


def _require_all_masks(outputs: Any, what_for: str) -> None:
    if outputs.mask_queries.shape[1] < outputs.logits.shape[1]:
        raise UsageError(
            f"`outputs` has masks of {outputs.mask_queries.shape[1]} of {outputs.logits.shape[1]} queries; for "
            f"{what_for} call the model with num_masks='all'."
        )


def post_process_mask_generation(
    outputs: Any,
    target_sizes: Any = None,
    threshold: float | None = None,
    max_objects: int = MOST_OBJECTS,
    mask_threshold: float = 0.5,
    mask_stride: int | None = None,
) -> list[dict[str, torch.Tensor]]:
    """All objects of each batch entry that nobody referred to, each once: for `model(**processor(images=image))`.

    Duplicates are told by their masks: of two queries whose masks have an IoU above .7, the
    one with the better score stays.

    Args:
        outputs: of a call without references and with `num_masks="all"`.
        target_sizes, mask_threshold, mask_stride: as for `post_process_referring_segmentation`.
        threshold: the score gate that each object has to pass; None for none.
        max_objects: so many of the best at most.

    Returns:
        For each entry, best first: `masks` bool (n, height, width), `scores` (n,) in 0..1, `boxes` (n, 4) x0, y0, x1,
        y1 in pixels, those of the masks.

    Raises:
        ValueError: as `post_process_referring_segmentation`; `max_objects` below 1.
    """
    check_threshold(threshold, "threshold")
    check_threshold(mask_threshold, "mask_threshold")
    if max_objects < 1:
        raise UsageError(f"`max_objects` must be 1 or more, got {max_objects}.")
    _require_all_masks(outputs, "all objects")
    mask_stride = _stride(outputs, mask_stride)
    results = []
    for index, _, scores, valid, target in _entries(outputs, target_sizes, mask_stride):
        masks = torch.stack(
            [restore_mask(one, valid, target, mask_threshold, mask_stride) for one in outputs.pred_masks[index]]
        )
        best = scores.amax(-1)
        chosen = choose_everything(masks, best, threshold, max_objects)
        boxes = [mask_bounds(masks[query]) for query in chosen]
        found = torch.stack(boxes) if boxes else best.new_zeros(0, 4)
        results.append({"masks": masks[chosen], "scores": best[chosen], "boxes": found})
    return results


def post_process_instance_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    threshold: float = 0.5,
    top_k: int = 100,
    mask_threshold: float = 0.5,
    mask_stride: int | None = None,
) -> list[dict[str, torch.Tensor]]:
    """Every object of each batch entry, for detection: class-wise non-maximum suppression at 0.7, then the best.

    Only queries whose masks the model decoded can appear: call it with `num_masks="all"`, or with a number.

    Args:
        outputs, target_sizes, mask_threshold, mask_stride: as for `post_process_referring_segmentation`.
        threshold: keep scores above it.
        top_k: keep at most so many.

    Returns:
        For each entry, best first: `scores` (n,), `labels` (n,), `boxes` (n, 4) x0, y0, x1, y1 in pixels, `masks`
        bool (n, height, width).

    Raises:
        ValueError: another number of sizes than entries; a threshold outside 0..1; `top_k` below 1.
    """
    check_threshold(threshold, "threshold")
    check_threshold(mask_threshold, "mask_threshold")
    if top_k < 1:
        raise UsageError(f"`top_k` must be 1 or more, got {top_k}.")
    if getattr(outputs, "pred_boxes", None) is None:
        raise UsageError(
            "`outputs` has no `pred_boxes`: this model looks for one object an entry; use "
            "post_process_referring_segmentation."
        )
    mask_stride = _stride(outputs, mask_stride)
    results = []
    for index, queries, scores, valid, target in _entries(outputs, target_sizes, mask_stride):
        boxes = outputs.pred_boxes[index, queries].float()
        best_score, best_class = scores.max(-1)
        kept = class_wise_nms(to_corners(boxes), best_score, best_class)
        # One box may count for several classes: the best pairs of (box, class) are the detections.
        pairs, places = scores[kept].flatten().sort(descending=True, stable=True)
        places = places[:top_k][pairs[:top_k] > threshold]
        chosen = kept[places // scores.shape[-1]]
        masks = torch.zeros(len(chosen), *target, dtype=torch.bool, device=boxes.device)
        for place, query in enumerate(chosen.tolist()):
            logits = outputs.pred_masks[index, query]
            masks[place] = restore_mask(logits, valid, target, mask_threshold, mask_stride)
        results.append(
            {
                "scores": pairs[: len(places)],
                "labels": places % scores.shape[-1],
                "boxes": scale_boxes(boxes[chosen], target),
                "masks": masks,
            }
        )
    return results
