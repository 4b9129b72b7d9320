"""Training-only linear heads: one asks the fused features for the target mask, one the plain features for classes.

The first makes the reference's influence worth something before the transformer has learned to find objects, the second
makes the features tell apart what sentences name. They live outside the model, so that they are in no saved folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...modeling.losses.mask_losses import dice_loss
from ..config.losses import AuxiliaryConfig


class AuxiliaryMaskHead(nn.Module):
    """One logit a position from the fused features of the finest `levels` levels (one linear map a level)."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(width, 1, 1) for _ in range(levels)])

    def forward(self, fused_features: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Binary cross entropy + dice, mean over entries and levels.

        Args:
            fused_features: levels of (N, width, h, w), finest first.
            targets: (N, H, W) in [0, 1], all zero where the target is absent; averaged down to each level.

        Returns:
            scalar loss (float32).
        """
        total = targets.new_zeros((), dtype=torch.float32)
        for head, features in zip(self.heads, fused_features, strict=False):
            logits = head(features)[:, 0].float().flatten(1)
            size = (features.shape[-2], features.shape[-1])
            target = F.adaptive_avg_pool2d(targets[:, None].float(), size).flatten(1)
            entropy = F.binary_cross_entropy_with_logits(logits, target)
            total = total + entropy + dice_loss(logits, target).mean()
        return total / len(self.heads)


class SemanticHead(nn.Module):
    """The class of every labelled pixel from the levels before the fusion; one linear map a level and folder of data.

    Args:
        width: channels of the levels.
        classes: number of classes of each folder; a photograph is asked for those of its own.
        levels: so many of the finest levels are asked.
    """

    def __init__(self, width: int, classes: Sequence[int], levels: int) -> None:
        super().__init__()
        self.levels, self.folders = levels, len(classes)
        # A level of a folder after the other, folder by folder.
        self.heads = nn.ModuleList([nn.Conv2d(width, count, 1) for count in classes for _ in range(levels)])

    def forward(self, features: Sequence[Tensor], labels: Tensor, folders: Tensor) -> tuple[Tensor, Tensor]:
        """Cross entropy over labelled pixels, a mean over images and levels, and the share of right pixels.

        Args:
            features: levels of (B, width, h, w), finest first.
            labels: (B, H, W) classes, -1 where there is none.
            folders: (B,) of the images.
        """
        # Every process has gradients for the same parameters, whatever it was shown.
        total = sum((parameter.sum() * 0.0 for parameter in self.parameters()), labels.new_zeros((), dtype=torch.float))
        rights = []
        for number in range(self.folders):
            mine = (folders == number).nonzero()[:, 0]
            if not len(mine):
                continue
            heads = self.heads[number * self.levels : (number + 1) * self.levels]
            for head, level in zip(heads, features, strict=False):
                logits = head(level[mine]).float()
                height, width = logits.shape[-2:]
                rows = (torch.arange(height, device=labels.device) * labels.shape[1] + labels.shape[1] // 2) // height
                columns = (torch.arange(width, device=labels.device) * labels.shape[2] + labels.shape[2] // 2) // width
                wanted = labels[mine][:, rows[:, None], columns[None]]
                entropy = F.cross_entropy(logits, wanted, ignore_index=-1, reduction="none").flatten(1)
                known = (wanted >= 0).flatten(1)
                total = total + (entropy.sum(1) / known.sum(1).clamp(min=1)).sum() / len(folders) / self.levels
                right = ((logits.argmax(1) == wanted).flatten(1) & known).sum() / known.sum().clamp(min=1)
                rights.append(right.detach())
        return total, torch.stack(rights).mean()


class TrainingHeads(nn.Module):
    """The heads that a run asks for, called together: a sharded run gathers and averages them as one.

    Args:
        width: channels of the model's maps.
        config: which heads, on how many levels.
        classes: number of classes of each folder of photographs, for the semantic head.

    Attributes:
        fused: asks the fused features for the target.
        memory: asks the encoder's memory for it; None where its weight is 0.
        semantic: asks the plain features for classes; None where its weight is 0 or no data have classes.
    """

    def __init__(self, width: int, config: AuxiliaryConfig, classes: Sequence[int] = ()) -> None:
        super().__init__()
        self.config = config
        self.fused = AuxiliaryMaskHead(width, config.levels)
        self.memory = AuxiliaryMaskHead(width, config.levels) if config.memory else None
        self.semantic = SemanticHead(width, classes, levels=3) if config.semantic and classes else None

    def forward(
        self,
        fused_features: Sequence[Tensor],
        memory: Tensor | None,
        targets: Tensor,
        levels: Sequence[Tensor] = (),
        semantic: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """What all heads ask, weighted and added, and the losses by name (detached) for the log.

        Args:
            fused_features: levels of (N, width, h, w), finest first.
            memory: (N, S, width) of the transformer's encoder, the levels one after the other; needed for the
                head that asks it.
            targets: (N, H, W) in [0, 1].
            levels: of (B, width, h, w), before the fusion.
            semantic: classes of pixels and folders of the images, see `SemanticHead`; None where they are not known.
        """
        config = self.config
        asked = {"auxiliary": (config.weight, self.fused(fused_features, targets))}
        if self.memory is not None:
            assert memory is not None
            maps = memory_maps(memory, fused_features)
            asked["auxiliary_memory"] = (config.memory, self.memory(maps, targets))
        terms: dict[str, Tensor] = {}
        if self.semantic is not None and semantic is not None:
            loss, terms["semantic_right"] = self.semantic(levels, *semantic)
            asked["semantic"] = (config.semantic, loss)
        terms |= {name: loss.detach() for name, (_, loss) in asked.items()}
        return torch.stack([weight * loss for weight, loss in asked.values()]).sum(), terms


def memory_maps(memory: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The memory (N, S, d) as maps of the levels' shapes."""
    sizes = [level.shape[-2] * level.shape[-1] for level in like]
    parts = memory.split(sizes, dim=1)
    return [part.transpose(1, 2).unflatten(2, level.shape[-2:]) for part, level in zip(parts, like, strict=True)]


def build_heads(width: int, config: AuxiliaryConfig, photographs: Sequence[str]) -> TrainingHeads:
    """The heads of a run for a model of `width` channels; `photographs` are its folders of these."""
    return TrainingHeads(width, config, class_counts(photographs) if config.semantic else [])


def class_counts(folders: Sequence[str]) -> list[int]:
    """How many classes each folder of photographs knows."""
    from ...worlds.photographs.folders import open_folder

    return [len(open_folder(folder).classes) for folder in folders]


@contextmanager
def recorded_levels(visual_encoder: nn.Module) -> Iterator[list[list[Tensor]]]:
    """The levels of each call of a visual encoder inside the block."""
    record: list[list[Tensor]] = []
    handle = visual_encoder.register_forward_hook(lambda _, __, output: record.append(output.levels))
    try:
        yield record
    finally:
        handle.remove()
