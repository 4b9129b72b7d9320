"""The training criterion on free predictions, in this process and in others."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from transformers_uniref.modeling.losses import DecoderPredictions, UniRefCriterion

RELEASED = {
    "class_loss_weight": 2.0,
    "box_loss_weight": 5.0,
    "giou_loss_weight": 2.0,
    "mask_loss_weight": 2.0,
    "dice_loss_weight": 5.0,
    "mask_cls_loss_weight": 1.0,
    "mask_iou_loss_weight": 1.0,
    "score_loss_weight": 2.0,
    "auxiliary_mask_losses": False,
    "boxinst_loss": False,
    "matching": "ota",
    "mask_loss_type": "focal",
    "loss_normalizer": "local",
}


def criterion(**options) -> UniRefCriterion:
    return UniRefCriterion(SimpleNamespace(**(RELEASED | options)))


class Predictor(nn.Module):
    """Free parameters in the place of a model's predictions: 2 layers, Q queries, S proposals, masks at stride 4."""

    def __init__(self, entries: int, queries: int = 8, proposals: int = 15, classes: int = 2, size: int = 32):
        super().__init__()

        def free(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape))

        self.logits, self.boxes = free(2, entries, queries, classes), free(2, entries, queries, 4)
        self.encoder_logits, self.encoder_boxes = free(entries, proposals, classes), free(entries, proposals, 4)
        self.masks = free(2, entries, queries, size // 4, size // 4)
        self.decoded = 0

    def part(self, entries: slice) -> DecoderPredictions:
        def decode(layer: int, entry: Tensor, query: Tensor) -> Tensor:
            self.decoded += len(entry)
            return self.masks[layer, entries][entry, query].unsqueeze(1)

        return DecoderPredictions(
            logits=[layer[entries] for layer in self.logits],
            boxes=[layer[entries].sigmoid() for layer in self.boxes],
            encoder_logits=self.encoder_logits[entries],
            encoder_boxes=self.encoder_boxes[entries].sigmoid(),
            decode_masks=decode,
        )


def make_labels(counts: list[int], size: int = 32, classes: int = 2) -> list[dict[str, Tensor]]:
    return [
        {
            "boxes": torch.rand(count, 4) * 0.4 + 0.3,
            "class_labels": torch.randint(0, classes, (count,)),
            "masks": torch.rand(count, size, size) > 0.5,
        }
        for count in counts
    ]


def train_a_part(rank: int, address: str, folder: str, normalizer: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    predictor, labels = distributed_case()
    mine = slice(0, 1) if rank == 0 else slice(1, 4)
    total, losses = criterion(loss_normalizer=normalizer)(predictor.part(mine), labels[mine])
    total.backward()
    gradients = []
    for parameter in predictor.parameters():
        torch.distributed.all_reduce(parameter.grad)
        gradients.append(parameter.grad / 2)  # what data-parallel training averages
    torch.save({"gradients": gradients, "loss_dice": losses["loss_dice"].item()}, f"{folder}/rank{rank}.pt")
    torch.distributed.destroy_process_group()


def distributed_case() -> tuple[Predictor, list[dict[str, Tensor]]]:
    torch.manual_seed(0)
    predictor = Predictor(4)
    return predictor, make_labels([3, 1, 0, 1])
