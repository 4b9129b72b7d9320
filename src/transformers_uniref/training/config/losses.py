"""Sections of the losses that act in training alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core.errors import UsageError


@dataclass
class AuxiliaryConfig:
    """Training-only linear heads, never saved with the model; a weight of 0 switches one off, the first one all.

    Attributes:
        weight: of the head that finds the target in the fused features.
        memory: of the same on what the transformer's encoder makes of them.
        semantic: of the head that tells the classes of pixels in the features before the fusion, for data with classes.
        levels: so many of the finest levels are asked.
        final_share: to which share of their start the weights fall, linearly over the run.
    """

    weight: float = 1.0
    memory: float = 0.0
    semantic: float = 0.0
    levels: int = 2
    final_share: float = 0.2


@dataclass
class LossPhase:
    """Loss weights from step `start` on: alignment of sentences and of examples (0: off), and the class loss."""

    start: int = 0
    sentences: float = 0.0
    examples: float = 0.0
    class_loss: float = 2.0


@dataclass
class AlignmentConfig:
    """Training-only losses on the fusion's queries and keys, see `training/step/alignment.py`.

    They act on the finest `levels` levels. Their weights, set by `phases`, are multiplied by a factor that falls
    linearly from 1 at the first step to `final_share` at the last. Without phases there is no such loss.
    """

    levels: int = 2
    final_share: float = 0.2
    phases: list[LossPhase] = field(default_factory=list)

    def __post_init__(self) -> None:
        starts = [phase.start for phase in self.phases]
        if starts != sorted(set(starts)) or (starts and starts[0] != 0):
            raise UsageError(f"alignment.phases: `start` values must begin at 0 and rise, got {starts}")

    def phase(self, step: int) -> LossPhase | None:
        """The weights at `step`; None without phases."""
        return next((phase for phase in reversed(self.phases) if step >= phase.start), None)
