"""The complete training objective of UniRef++, with the terms and the normalisation of the released training."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
import torch.distributed
from torch import Tensor, nn

from ...core.box_formats import to_corners
from ...core.errors import UsageError
from . import boxinst
from .box_losses import giou_loss, l1_loss
from .class_losses import certainty_in_boxes, one_hot_classes, sigmoid_focal_loss
from .mask_losses import (
    binary_cross_entropy_mask_loss,
    dice_loss,
    focal_mask_loss,
    hardest_pixels_loss,
    soft_iou_loss,
)
from .matching import Matches, hungarian_match, ota_match
from .score_losses import fit_loss, fit_of_masks

MASK_STRIDE: Final = 4
BOXINST_WARMUP: Final = 10000  # evaluations of the pairwise term, one for each decoder layer and step
BOXINST_MAX_INSTANCES: Final = 64

_MATCHERS: Final = {"ota": ota_match, "hungarian": hungarian_match}
_MASK_LOSSES: Final = {"focal": focal_mask_loss, "bce": binary_cross_entropy_mask_loss}
_LAYER_SUFFIX: Final = re.compile(r"_(?:\d+|enc)$")

Label = dict[str, Tensor]


@dataclass
class DecoderPredictions:
    """What the criterion reads of a forward pass (N entries, Q queries, C classes, L decoder layers).

    Attributes:
        logits: L tensors (N, Q, C), first layer first.
        boxes: L tensors (N, Q, 4) cxcywh, fractions of the unpadded image.
        encoder_logits: (N, S, C) of the two-stage proposals, every token.
        encoder_boxes: (N, S, 4) of the same.
        decode_masks: called with a layer index, entry indices (M,) and query indices (M,); returns mask logits
            (M, 1, h, w). Only matched queries are ever asked for.
        full_resolution: the masks have the padded input size (video object segmentation) instead of a quarter of it.
        scores: (N, Q) logits that say how well each mask fits (`mask_pooled_scores`).
        masks: with `scores`; (N, Q, h, w) mask logits of all queries at a quarter of the padded input size.
        images: BoxInst only; (N, 3, H, W) RGB 0-255, zero in the padding.
        image_sizes: BoxInst only; (N, 2) unpadded height and width.
        original_heights: BoxInst only; (N,) heights before resizing to the network input.
    """

    logits: Sequence[Tensor]
    boxes: Sequence[Tensor]
    encoder_logits: Tensor
    encoder_boxes: Tensor
    decode_masks: Callable[[int, Tensor, Tensor], Tensor]
    full_resolution: bool = False
    scores: Tensor | None = None
    masks: Tensor | None = None
    images: Tensor | None = None
    image_sizes: Tensor | None = None
    original_heights: Tensor | None = None


class UniRefCriterion(nn.Module):
    """Matching, losses and their weighted sum.

    Loss names: `loss_ce`, `loss_bbox`, `loss_giou`, `loss_mask`, `loss_dice`, with auxiliary mask losses
    `loss_mask_cls` and `loss_mask_iou`, with BoxInst `loss_prj` and `loss_pairwise` in place of the mask losses. The
    last decoder layer has the plain name, earlier layers the suffix `_0`, `_1`, ..., the two-stage proposals `_enc`
    (class and boxes only). With `mask_pooled_scores` there is one `loss_score`, of the last layer.

    Every loss but BoxInst's two and `loss_score` (means) is a sum divided by the number of matched queries.
    `config.loss_normalizer` "local" counts them in this process (as released); "mean" averages the count over all
    processes, at least 1, which makes the averaged gradient of data-parallel training that of one process with the
    whole batch.

    Args:
        config: `UniRefConfig`, its loss options.

    Raises:
        ValueError: an option of the configuration has no such value.
    """

    boxinst_iteration: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.weights = {
            "loss_ce": config.class_loss_weight,
            "loss_bbox": config.box_loss_weight,
            "loss_giou": config.giou_loss_weight,
            "loss_mask": config.mask_loss_weight,
            "loss_dice": config.dice_loss_weight,
            "loss_mask_cls": config.mask_cls_loss_weight,
            "loss_mask_iou": config.mask_iou_loss_weight,
            "loss_score": config.score_loss_weight,
            "loss_prj": 1.0,
            "loss_pairwise": 1.0,
        }
        self.auxiliary_mask_losses = config.auxiliary_mask_losses
        self.boxinst_loss = config.boxinst_loss
        self.match_decoder_layers = _option("matching", config.matching, _MATCHERS)
        self.mask_loss = _option("mask_loss_type", config.mask_loss_type, _MASK_LOSSES)
        self.reduce_normalizer = _option("loss_normalizer", config.loss_normalizer, {"local": False, "mean": True})
        if self.boxinst_loss:
            self.register_buffer("boxinst_iteration", torch.zeros(1))

    def weight_of(self, name: str) -> float:
        """Weight of a loss in the total, whatever its layer suffix: `loss_mask_cls_0` has that of `loss_mask_cls`."""
        return self.weights[_LAYER_SUFFIX.sub("", name)]

    def match(self, outputs: DecoderPredictions, labels: Sequence[Label]) -> tuple[list[Matches], Matches]:
        """Matches of every decoder layer (first layer first) and of the two-stage proposals.

        The proposals are matched one-to-one and without regard to the class: all targets count as class 0.
        """
        device = outputs.encoder_boxes.device
        classes = [entry["class_labels"].to(device) for entry in labels]
        boxes = [entry["boxes"].to(device) for entry in labels]
        layers = self.match_decoder_layers(
            torch.stack(list(outputs.logits)), torch.stack(list(outputs.boxes)), classes, boxes
        )
        zeros = [torch.zeros_like(entry) for entry in classes]
        proposals = hungarian_match(outputs.encoder_logits[None], outputs.encoder_boxes[None], zeros, boxes)[0]
        return layers, proposals

    def forward(self, outputs: DecoderPredictions, labels: Sequence[Label]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the objective.

        Args:
            outputs: predictions of the decoder layers and the proposals.
            labels: one dictionary an entry: `boxes` (t, 4) cxcywh in fractions of the unpadded image, `class_labels`
                (t,) long, `masks` (t, H, W) bool or 0/1 at the padded input size (not read with BoxInst). t may be 0:
                then every query is a negative. Optionally `certainty` (h, w) in 0..1 at the size of the image without
                padding: how sure it is that nothing but the targets is there; a query without a target counts in the
                class loss and in `loss_score` by its mean in the query's box.

        Returns:
            The weighted sum (scalar) and the raw, unweighted losses by name.

        Raises:
            ValueError: labels that do not fit the predictions, or predictions that are not finite.
        """
        targets = _Targets.gather(outputs, labels, with_masks=not self.boxinst_loss)
        layers, proposals = self.match(outputs, labels)
        normalizers = self._normalizers([*layers, proposals], outputs.encoder_logits)
        supervision = self._boxinst_targets(outputs, targets) if self.boxinst_loss else None

        losses: dict[str, Tensor] = {}
        last = len(layers) - 1
        for layer in range(last, -1, -1):
            matches, normalizer = layers[layer], normalizers[layer]
            classes = targets.classes[matches.flat_target]
            logits, boxes = outputs.logits[layer], outputs.boxes[layer]
            certainty = _certainty(boxes, labels)
            raw = self._query_losses(logits, boxes, matches, classes, targets, normalizer, certainty)
            if supervision is None:
                raw |= self._mask_losses(outputs, layer, matches, targets, normalizer)
            else:
                raw |= self._boxinst_losses(outputs, layer, matches, supervision)
            suffix = "" if layer == last else f"_{layer}"
            losses |= {name + suffix: loss for name, loss in raw.items()}

        classes = torch.zeros_like(proposals.flat_target)
        raw = self._query_losses(
            outputs.encoder_logits,
            outputs.encoder_boxes,
            proposals,
            classes,
            targets,
            normalizers[-1],
            _certainty(outputs.encoder_boxes, labels),
        )
        losses |= {f"{name}_enc": loss for name, loss in raw.items()}
        if outputs.scores is not None and outputs.masks is not None and not self.boxinst_loss:
            start = MASK_STRIDE // 2
            wanted = [label["masks"][:, start::MASK_STRIDE, start::MASK_STRIDE].to(outputs.masks) for label in labels]
            fit = fit_of_masks(outputs.masks, wanted)
            losses["loss_score"] = fit_loss(outputs.scores.float(), fit, _certainty(outputs.boxes[-1], labels))
        total = torch.stack([self.weight_of(name) * loss for name, loss in losses.items()]).sum()
        return total, losses

    def _normalizers(self, matches: Sequence[Matches], like: Tensor) -> Tensor:
        counts = torch.tensor([len(entry) for entry in matches], dtype=torch.float32, device=like.device)
        if self.reduce_normalizer and torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
            counts /= torch.distributed.get_world_size()
        return counts.clamp(min=1)

    def _query_losses(
        self,
        logits: Tensor,
        boxes: Tensor,
        matches: Matches,
        classes: Tensor,
        targets: _Targets,
        normalizer: Tensor,
        certainty: Tensor | None,
    ) -> dict[str, Tensor]:
        logits = logits.float()
        one_hot = one_hot_classes(logits, matches.entry, matches.query, classes)
        predicted = boxes[matches.entry, matches.query].float()
        wanted = targets.boxes[matches.flat_target]
        entropy = sigmoid_focal_loss(logits, one_hot)
        if certainty is not None:
            certainty[matches.entry, matches.query] = 1.0
            entropy = entropy * certainty[..., None]
        return {
            "loss_ce": entropy.sum() / normalizer,
            "loss_bbox": l1_loss(predicted, wanted).sum() / normalizer,
            "loss_giou": giou_loss(to_corners(predicted), to_corners(wanted)).sum() / normalizer,
        }

    def _mask_losses(
        self, outputs: DecoderPredictions, layer: int, matches: Matches, targets: _Targets, normalizer: Tensor
    ) -> dict[str, Tensor]:
        functions: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"loss_mask": self.mask_loss, "loss_dice": dice_loss}
        if self.auxiliary_mask_losses:
            functions |= {"loss_mask_cls": hardest_pixels_loss, "loss_mask_iou": soft_iou_loss}
        if len(matches) == 0:
            return dict.fromkeys(functions, _unused_mask_head(outputs, layer))
        logits = outputs.decode_masks(layer, matches.entry, matches.query)[:, 0].float()
        if logits.shape[-2:] != targets.masks.shape[-2:]:
            raise UsageError(
                f"labels: got masks that are {tuple(targets.masks.shape[-2:])} at the resolution of the loss, accepted "
                f"is the predicted {tuple(logits.shape[-2:])}; masks have the padded size of pixel_values"
            )
        wanted = targets.masks[matches.flat_target].to(logits.dtype)
        return {name: function(logits, wanted).sum() / normalizer for name, function in functions.items()}

    def _boxinst_targets(self, outputs: DecoderPredictions, targets: _Targets) -> tuple[Tensor, Tensor]:
        if outputs.images is None or outputs.image_sizes is None or outputs.original_heights is None:
            raise UsageError("images, image_sizes, original_heights: got None, the BoxInst loss needs all three")
        similarity = boxinst.color_similarity(outputs.images, outputs.image_sizes, outputs.original_heights)
        size = (outputs.images.shape[-2], outputs.images.shape[-1])
        boxes = boxinst.box_masks(targets.boxes, outputs.image_sizes[targets.entry], size)
        start = boxinst.STRIDE // 2
        return similarity, boxes[:, start :: boxinst.STRIDE, start :: boxinst.STRIDE]

    def _boxinst_losses(
        self, outputs: DecoderPredictions, layer: int, matches: Matches, supervision: tuple[Tensor, Tensor]
    ) -> dict[str, Tensor]:
        if self.training:
            self.boxinst_iteration += 1
        if len(matches) == 0:
            return dict.fromkeys(("loss_prj", "loss_pairwise"), _unused_mask_head(outputs, layer))
        similarity, boxes = supervision
        chosen = torch.arange(len(matches), device=matches.entry.device)
        if len(matches) > BOXINST_MAX_INSTANCES:
            chosen = torch.randperm(len(matches), device=matches.entry.device)[:BOXINST_MAX_INSTANCES]
        entry, query, flat_target = matches.entry[chosen], matches.query[chosen], matches.flat_target[chosen]
        logits = outputs.decode_masks(layer, entry, query)[:, 0].float()
        warmup = (self.boxinst_iteration / BOXINST_WARMUP).clamp(max=1)[0]
        return {
            "loss_prj": boxinst.projection_loss(logits, boxes[flat_target]).mean(),
            "loss_pairwise": warmup * boxinst.pairwise_loss(logits, boxes[flat_target], similarity[entry]),
        }


@dataclass
class _Targets:
    """Targets of all entries, put one after another (M in all)."""

    entry: Tensor
    boxes: Tensor
    classes: Tensor
    masks: Tensor  # at the resolution of the loss; without rows when masks are not supervised

    @classmethod
    def gather(cls, outputs: DecoderPredictions, labels: Sequence[Label], with_masks: bool) -> _Targets:
        num_entries, _, num_classes = outputs.encoder_logits.shape
        device = outputs.encoder_logits.device
        if len(labels) != num_entries:
            raise UsageError(
                f"labels: got {len(labels)} entries, accepted is one for each of the {num_entries} predictions"
            )
        for index, label in enumerate(labels):
            _check_label(index, label, with_masks)
        counts = torch.tensor([len(label["boxes"]) for label in labels])
        boxes = torch.cat([label["boxes"] for label in labels]).to(device, torch.float32)
        classes = torch.cat([label["class_labels"] for label in labels]).to(device)
        _check_values(boxes, classes, num_classes)
        masks = boxes.new_zeros(0)
        if with_masks:
            start, step = (0, 1) if outputs.full_resolution else (MASK_STRIDE // 2, MASK_STRIDE)
            masks = torch.cat([label["masks"][:, start::step, start::step].to(device) for label in labels])
        return cls(torch.repeat_interleave(torch.arange(num_entries), counts).to(device), boxes, classes, masks)


def _check_label(index: int, label: Label, with_masks: bool) -> None:
    needed = ("boxes", "class_labels", "masks") if with_masks else ("boxes", "class_labels")
    missing = [name for name in needed if name not in label]
    if missing:
        raise UsageError(
            f"labels[{index}]: got the keys {sorted(label)}, accepted are {list(needed)} (missing: {missing})"
        )
    boxes, classes = label["boxes"], label["class_labels"]
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"labels[{index}]['boxes']: got the shape {tuple(boxes.shape)}, accepted is (t, 4)")
    if classes.shape != boxes.shape[:1] or classes.dtype != torch.int64:
        raise UsageError(
            f"labels[{index}]['class_labels']: got {classes.dtype} of shape {tuple(classes.shape)}, accepted is int64 "
            f"of shape ({len(boxes)},), one for each box"
        )
    if with_masks and (label["masks"].ndim != 3 or len(label["masks"]) != len(boxes)):
        raise UsageError(
            f"labels[{index}]['masks']: got the shape {tuple(label['masks'].shape)}, accepted is ({len(boxes)}, H, W), "
            "one for each box"
        )


def _check_values(boxes: Tensor, classes: Tensor, num_classes: int) -> None:
    if len(boxes) == 0:
        return
    slack = 1e-3
    boxes_fit = ((boxes >= -slack) & (boxes <= 1 + slack)).all()
    classes_fit = ((classes >= 0) & (classes < num_classes)).all()
    fits = torch.stack([boxes_fit, classes_fit]).tolist()  # one transfer for both
    if not fits[0]:
        raise UsageError(
            f"labels: got boxes between {boxes.min().item():.4g} and {boxes.max().item():.4g}, accepted are "
            "(cx, cy, w, h) in fractions of the unpadded image, 0 to 1"
        )
    if not fits[1]:
        raise UsageError(
            f"labels: got class_labels between {classes.min().item()} and {classes.max().item()}, accepted are 0 to "
            f"{num_classes - 1} (config.num_labels is {num_classes})"
        )


def _unused_mask_head(outputs: DecoderPredictions, layer: int) -> Tensor:
    """A zero that depends on the mask head: data-parallel training waits for a gradient of every parameter."""
    first = torch.zeros(1, dtype=torch.long, device=outputs.encoder_logits.device)
    return outputs.decode_masks(layer, first, first).float().sum() * 0


def _certainty(boxes: Tensor, labels: Sequence[Label]) -> Tensor | None:
    """(N, Q) how sure it is that a query without a target is wrong; None where it always is."""
    maps = [label.get("certainty") for label in labels]
    if all(given is None for given in maps):
        return None
    sure = torch.ones(boxes.shape[:2], device=boxes.device)
    for entry, given in enumerate(maps):
        if given is not None:
            sure[entry] = certainty_in_boxes(given.to(boxes.device), boxes[entry])
    return sure


def _option(name: str, value: str, accepted: dict[str, Any]) -> Any:
    if value not in accepted:
        raise UsageError(f"{name}: got {value!r}, accepted are {', '.join(map(repr, accepted))}")
    return accepted[value]
