"""The training objective of UniRef-SAM: one mask an entry, no scores, no boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...core.errors import UsageError
from ..references import pad_to
from .criterion import Label
from .mask_losses import binary_cross_entropy_mask_loss, scaled_dice_loss


class UniRefSamCriterion(nn.Module):
    """Binary cross entropy and dice at the input's resolution, padding included, averaged over the entries.

    The head that predicts the IoU gets no loss and stays as SAM has it (as released). Names: `loss_mask`, `loss_dice`.

    Args:
        config: `UniRefSamConfig`, its two weights.
    """

    # Every process averages over its own entries, which is what data-parallel training expects.
    reduce_normalizer = False

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.weights = {"loss_mask": config.mask_loss_weight, "loss_dice": config.dice_loss_weight}

    def weight_of(self, name: str) -> float:
        """Weight of a loss in the total."""
        return self.weights[name]

    def forward(self, logits: Tensor, labels: Sequence[Label]) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the objective.

        Args:
            logits: (N, H, W) at the padded input size.
            labels: one dictionary an entry, of which `masks` (t, H, W) bool or 0/1 is read, at the padded size or
                smaller (then padded with 0): their union is the target. t = 0: nothing is.

        Returns:
            The weighted sum (scalar) and the raw, unweighted losses by name.

        Raises:
            ValueError: labels that do not fit the predictions.
        """
        if len(labels) != len(logits):
            raise UsageError(
                f"labels: got {len(labels)} entries, accepted is one for each of the {len(logits)} entries"
            )
        logits = logits.float()
        targets = torch.stack([_target(index, label, logits) for index, label in enumerate(labels)])
        losses = {
            "loss_mask": binary_cross_entropy_mask_loss(logits, targets).mean(),
            "loss_dice": scaled_dice_loss(logits, targets).mean(),
        }
        return torch.stack([self.weight_of(name) * loss for name, loss in losses.items()]).sum(), losses


def _target(index: int, label: Label, logits: Tensor) -> Tensor:
    masks = label.get("masks")
    size = tuple(logits.shape[-2:])
    if masks is None or masks.ndim != 3 or any(a > b for a, b in zip(masks.shape[-2:], size, strict=True)):
        got = "nothing" if masks is None else f"the shape {tuple(masks.shape)}"
        raise UsageError(f"labels[{index}]['masks']: got {got}, accepted is (t, H, W), at most {size}")
    return pad_to((masks != 0).any(0), size).to(logits)
