"""A small fixed validation during training: are references understood, or only objects found?

It is for the log. The numbers that a model is judged by come from `uniref evaluate`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .collation import Batch, Collator
from .config import SamplingConfig, ValidationConfig
from .measures import batch_measures, mask_iou
from .metrics_log import RunningMeans
from .mixture import ScenePlan
from .samples import Entry, Sample
from .world_source import WorldSource

OBJECTS_PER_CLIP = 2


class Validation:
    """Scenes of the validation split, drawn once and kept.

    Args:
        config: how many of what.
        sampling: the run's sampling (how many objects a scene).
        seed: seed of the world.
        collator: makes batches.
    """

    def __init__(self, config: ValidationConfig, sampling: SamplingConfig, seed: int, collator: Collator) -> None:
        self.config = config
        self.collator = collator
        self.source = WorldSource(dataclasses.replace(sampling, absent_share=0.5), seed=seed, split="validation")
        self._batches: list[Batch] | None = None
        self._clips: list[dict[str, Any]] | None = None

    @torch.no_grad()
    def run(self, model: Any, device: torch.device, autocast: Callable[[], AbstractContextManager]) -> dict[str, float]:
        """Measure `model`, which is left in the mode it came in.

        Returns:
            fractions: `<task>/iou`, `<task>/right`, `<task>/score...` as in training; `swap` (scenes in which the
            sentences of two objects each gave their own object); `vos/propagated`, `rvos/propagated` (mean IoU from the
            first frame's mask on), `rvos/recovered` (right object in frame 4 although the first mask was another's).
        """
        if self._batches is None:
            self._batches, self._clips = self._draw()
        assert self._clips is not None
        was_training = model.training
        model.eval()
        means = RunningMeans()
        try:
            for batch in self._batches:
                on_device = batch.to(device)
                inputs = {name: value for name, value in on_device.inputs.items() if name != "labels"}
                with autocast():
                    output = model(**inputs)
                measures = batch_measures(output, on_device)
                for name, value in measures:
                    means.add(name, value)
                self._add_swaps(measures, on_device, means)
            if self._clips:
                self._propagate(model, device, autocast, means)
        finally:
            model.train(was_training)
        return means.pop()

    def _draw(self) -> tuple[list[Batch], list[dict[str, Any]]]:
        config = self.config
        plans = [("ris", 0, config.images), ("fss", 1, config.few_shot)]
        batches = []
        for task, shots, count in plans:
            samples = [
                self.source.draw(ScenePlan(task, index, config.size, shots, easy=False, seed=index))
                for index in range(count)
            ]
            for start in range(0, count, config.batch_size):
                batches.append(self.collator(samples[start : start + config.batch_size]))
        clips = [self.source.world(config.size).clip(index, frames=8) for index in range(config.clips)]
        return batches, clips

    @staticmethod
    def _add_swaps(measures: list[tuple[str, float]], batch: Batch, means: RunningMeans) -> None:
        right = iter(value for name, value in measures if name == "ris/right")
        present = batch.targets.flatten(1).any(1).tolist()
        by_image: dict[int, list[float]] = {}
        for entry, image in enumerate(batch.inputs["image_indices"].tolist()):
            if batch.tasks[entry] == "ris" and present[entry]:
                by_image.setdefault(image, []).append(next(right))
        for values in by_image.values():
            if len(values) > 1:
                means.add("swap", float(all(values)))

    def _questions(self) -> list[tuple[int, int, int | None, str]]:
        """(clip, object, another object of its first frame or None, sentence) of everything that is asked."""
        assert self._clips is not None
        questions = []
        for position, clip in enumerate(self._clips):
            first = [int(v) for v in np.unique(clip["label_maps"][0]) if v]
            usable = [number for number in first if clip["sentences"].get(number)]
            for number in usable[:OBJECTS_PER_CLIP]:
                another = next((other for other in first if other != number), None)
                questions.append((position, number, another, clip["sentences"][number][0]))
        return questions

    def _propagate(
        self, model: Any, device: Any, autocast: Callable[[], AbstractContextManager], means: RunningMeans
    ) -> None:
        questions = self._questions()
        if not questions:
            return
        for mode in ("vos", "rvos", "conflict"):
            asked = [q for q in questions if mode != "conflict" or q[2] is not None]
            if not asked:
                continue
            initial = np.stack(
                [self._label_maps(c)[0] == (another if mode == "conflict" else n) for c, n, another, _ in asked]
            )
            previous = initial
            count = len(self._label_maps(0))
            for time in range(1, count):
                samples = []
                for row, (position, number, _, sentence) in enumerate(asked):
                    frames = self._frames(position)
                    entry = Entry(
                        mode,
                        self._label_maps(position)[time] == number,
                        np.zeros((0, *initial.shape[1:]), dtype=bool),
                        None if mode == "vos" else sentence,
                        np.stack([frames[0], frames[time - 1]]),
                        np.stack([initial[row], previous[row]]),
                    )
                    samples.append(Sample(frames[time], [entry]))
                batch = self.collator(samples).to(device)
                inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
                with autocast():
                    output = model(**inputs)
                predicted = upsample(output.pred_masks[:, 0].float(), batch.targets.shape[-2:]) > 0
                ious = mask_iou(predicted, batch.targets > 0.5).tolist()
                for iou, target in zip(ious, batch.targets, strict=True):
                    if not target.any():
                        continue
                    if mode != "conflict":
                        means.add(f"{mode}/propagated", iou)
                    elif time == 4:
                        means.add("rvos/recovered", float(iou > 0.5))
                now = predicted.cpu().numpy()
                height, width = previous.shape[1:]
                now = now[:, :height, :width]
                # An empty prediction keeps the reference that was there.
                previous = np.where(now.any((1, 2), keepdims=True), now, previous)

    def _frames(self, position: int) -> np.ndarray:
        assert self._clips is not None
        return self._clips[position]["frames"]

    def _label_maps(self, position: int) -> np.ndarray:
        assert self._clips is not None
        return self._clips[position]["label_maps"]


def upsample(logits: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """(N, h, w) logits to (N, H, W), bilinear."""
    return F.interpolate(logits[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]
