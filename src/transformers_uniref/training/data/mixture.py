"""The mixture of tasks: what is drawn at which step is a pure function of (seed, step).

A resumed run therefore needs no state of the loader, and any worker process can draw any step ahead of time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import UsageError
from ..config.feed import DataOptions
from ..config.world import REFERENCES_OF_TASK


@dataclass(frozen=True)
class ScenePlan:
    """One scene to draw.

    Attributes:
        task: ris, rvos_text, fss, vos, rvos or sound.
        index: number of the scene in its split; no two scenes of a run share one.
        size: width and height in pixels.
        shots: mask references an entry (0 for tasks with a sentence only).
        easy: draw an easy scene.
        seed: seeds the choices inside the scene (objects, frames, corruptions).
        photo_share: probability that it is drawn from photographed clips; `None`: that of the task.
        domain: "photographs" for a scene of those folders.
    """

    task: str
    index: int
    size: int
    shots: int
    easy: bool
    seed: int
    photo_share: float | None = None
    domain: str = ""


@dataclass(frozen=True)
class MicroBatchPlan:
    """The scenes of one forward pass, the weight of its loss, and the size of its masks where it is not the model's."""

    scenes: tuple[ScenePlan, ...]
    weight: float
    full_resolution_masks: bool | None = None


class Mixture:
    """Plans the micro-batches of every step.

    Several processes share a step: process r of P takes the scenes r, r + P, ... of each micro-batch, so a run draws
    the same scenes on one process or on many.
    """

    def __init__(self, config: DataOptions, process_index: int = 0, num_processes: int = 1) -> None:
        smallest = min(sum(micro_batch.scenes.values()) for micro_batch in config.micro_batches)
        if num_processes > smallest:
            raise UsageError(
                f"micro_batches: the smallest has {smallest} scene(s), too few to share between {num_processes} "
                "processes"
            )
        self.config = config
        self.process_index = process_index
        self.num_processes = num_processes
        self.scenes_per_step = sum(sum(micro_batch.scenes.values()) for micro_batch in config.micro_batches)

    def plan(self, step: int) -> list[MicroBatchPlan]:
        """The micro-batches of this process at `step` (0-based)."""
        config = self.config
        rng = np.random.default_rng((config.seed, step))
        index = step * self.scenes_per_step
        plans = []
        for micro_batch in config.micro_batches:
            if step % micro_batch.every != micro_batch.offset:
                continue
            reference = next(REFERENCES_OF_TASK[task] for task in micro_batch.scenes)
            shots = 0
            if reference in ("mask", "both"):
                clips_alone = not {"ris", "fss"} & set(micro_batch.scenes)
                shares = clips_alone and config.sampling.clip_shots or config.sampling.shots
                shots = 1 + int(rng.choice(len(shares), p=shares))
            scenes = []
            size = micro_batch.size or config.image_size(step)
            for task, count in micro_batch.scenes.items():
                for _ in range(count):
                    easy = bool(rng.random() < config.easy_share(step))
                    scene_seed = int(rng.integers(2**31))
                    where = micro_batch.photo_share, micro_batch.domain
                    scenes.append(ScenePlan(task, index, size, shots, easy, scene_seed, *where))
                    index += 1
            share = tuple(scenes[self.process_index :: self.num_processes])
            plans.append(MicroBatchPlan(share, micro_batch.weight, micro_batch.full_resolution_masks))
        return plans
