"""What a run on scenes is measured on: held-out scenes of the drawn world, and of photographs where it learns from any.

Scenes are drawn once and kept.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from ..config.loop import ValidationConfig
from ..config.world import SamplingConfig
from ..data.collation import Batch, Collator
from ..data.mixture import ScenePlan
from ..data.world_source import WorldSource
from .propagation import MODES, Clip

CLIP_FRAMES = 8


class ScenePart:
    """Held-out scenes of one world (a `ValidationPart`).

    Args:
        prefix: of its measures' names.
        config: how many of what.
        of_photographs: which world that is.
    """

    modes: tuple[str, ...] = MODES

    def __init__(
        self, prefix: str, config: ValidationConfig, source: WorldSource, collator: Collator, of_photographs: bool
    ) -> None:
        self.prefix = prefix
        self.config = config
        self.source = source
        self.collator = collator
        self.of_photographs = of_photographs
        self._batches: list[Batch] | None = None
        self._clips: list[Clip] | None = None
        self.summary = f"{config.images} images, {config.few_shot} few-shot scenes, {config.clips} clips"
        if of_photographs:
            sequences = source.world(config.size, photographed=True).sequences
            self.summary = f"photographs of {', '.join(sequences)} ({self.summary})"
        else:
            self.summary = f"the drawn world ({self.summary})"

    def batches(self) -> Iterator[Batch]:
        if self._batches is None:
            self._batches = self._draw()
        yield from self._batches

    def _draw(self) -> list[Batch]:
        config = self.config
        batches = []
        for task, shots, count in (("ris", 0, config.images), ("fss", 1, config.few_shot)):
            samples = [
                self.source.draw(ScenePlan(task, index, config.size, shots, easy=False, seed=index))
                for index in range(count)
            ]
            for start in range(0, count, config.batch_size):
                batches.append(self.collator(samples[start : start + config.batch_size]))
        return batches

    def clips(self) -> list[Clip]:
        if self._clips is None:
            world = self.source.world(self.config.size, photographed=self.of_photographs)
            drawn = [world.clip(index, frames=CLIP_FRAMES) for index in range(self.config.clips)]
            self._clips = [Clip(clip["frames"], clip["label_maps"], clip["sentences"]) for clip in drawn]
        return self._clips


def scene_parts(
    validation: ValidationConfig, sampling: SamplingConfig, seed: int, photographs: bool, collator: Collator
) -> list[ScenePart]:
    """Scenes of the drawn world's validation split, and with `photographs` of the sequences that training holds out.

    Of these there are none without `sampling.photo_share`, or where none is held out.
    """
    sampling = dataclasses.replace(sampling, absent_share=0.5)
    source = WorldSource(sampling, seed=seed, split="validation", photo_share=0.0)
    parts = [ScenePart("", validation, source, collator, of_photographs=False)]
    if photographs and sampling.photo_share:
        source = WorldSource(sampling, seed=seed, split="validation", photo_share=1.0)
        if source.held_out_photographs():
            parts.append(ScenePart("photo/", validation, source, collator, of_photographs=True))
    return parts
