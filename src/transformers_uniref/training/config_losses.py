"""Sections of the losses that act in training alone."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class AuxiliaryConfig:
    """A training-only linear head on the fused features, never saved with the model; `weight` 0 switches it off."""

    weight: float = 1.0
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
    """Training-only losses on the fusion's queries and keys, see `training/alignment.py`.

    They act on the finest `levels` levels. Their weights, set by `phases`, are multiplied by a factor that falls
    linearly from 1 at the first step to `final_share` at the last. Without phases there is no such loss.
    """

    levels: int = 2
    final_share: float = 0.2
    phases: list[LossPhase] = field(default_factory=list)

    def __post_init__(self) -> None:
        starts = [phase.start for phase in self.phases]
        if starts != sorted(set(starts)) or (starts and starts[0] != 0):
            raise ValueError(f"alignment.phases: `start` values must begin at 0 and rise, got {starts}")

    def phase(self, step: int) -> LossPhase | None:
        """The weights at `step`; None without phases."""
        return next((phase for phase in reversed(self.phases) if step >= phase.start), None)
