"""A small fixed validation during training: are references understood, or only objects found?

It is for the log, and for choosing the best checkpoint of a run. The numbers that a model is judged by come from
`uniref evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from ..config.loop import ValidationConfig
from ..config.world import SamplingConfig
from ..data.collation import Batch, Collator
from ..metrics_log import RunningMeans
from ..step.measures import batch_measures
from .propagation import Clip, propagate


class ValidationPart(Protocol):
    """Something to measure: batches of questions about single pictures, and clips to follow objects through.

    Attributes:
        prefix: of the names of its measures, such as "photo/"; empty for the drawn world.
        modes: what is asked of its clips, see `propagation.MODES`.
        summary: what it consists of, for a person who starts a run.
    """

    prefix: str
    modes: tuple[str, ...]
    summary: str

    def batches(self) -> Iterator[Batch]:
        """Its batches, the same ones every time."""
        ...

    def clips(self) -> list[Clip]:
        """Its clips, the same ones every time."""
        ...


def validation_parts(
    validation: ValidationConfig,
    sampling: SamplingConfig,
    seed: int,
    on_scenes: bool,
    collator: Collator,
    opened: Mapping[str, Any] | None = None,
) -> list[ValidationPart]:
    """What a run is measured on.

    The drawn world, unless the run is made of `datasets` and names others for its validation; the photographs held out,
    where it learns from photographs; and `validation.datasets`. Nothing when `validation.every` is 0.

    Args:
        validation: of what, and how much.
        sampling: how the run makes samples of scenes.
        on_scenes: whether it is made of scenes, not of `datasets`.
        opened: datasets by name that are opened already.

    Raises:
        ValueError: a dataset cannot be opened, lacks a column, or has no row for its task.
    """
    from .datasets import DatasetPart
    from .scenes import scene_parts

    if not validation.every:
        return []
    parts: list[ValidationPart] = []
    if on_scenes or not validation.datasets:
        parts += scene_parts(validation, sampling, seed, on_scenes, collator)
    for position, dataset in enumerate(validation.datasets):
        parts.append(DatasetPart(dataset, validation, (seed, position), collator, (opened or {}).get(dataset.name)))
    return parts


class Validation:
    """Measures a model on the parts of a run's validation.

    Args:
        parts: see `validation_parts`.
    """

    def __init__(self, parts: list[ValidationPart], collator: Collator) -> None:
        self.parts = parts
        self.collator = collator

    @torch.no_grad()
    def run(self, model: Any, device: torch.device, autocast: Callable[[], AbstractContextManager]) -> dict[str, float]:
        """Measure `model`, which is left in the mode it came in.

        Returns:
            fractions, with the prefix of their part: `<task>/iou`, `<task>/right`, `<task>/score...` as in training;
            `swap` (scenes in which the sentences of two objects each gave their own object); `vos/propagated`,
            `rvos/propagated` (mean IoU from the first frame's mask on), `rvos/recovered` (right object in frame 4
            although the first mask was another's); `detection/recall`.
        """
        was_training = model.training
        model.eval()
        means = RunningMeans()
        try:
            for part in self.parts:
                for batch in part.batches():
                    on_device = batch.to(device)
                    inputs = {name: value for name, value in on_device.inputs.items() if name != "labels"}
                    with autocast():
                        output = model(**inputs)
                    measures = batch_measures(output, on_device)
                    for name, value in measures:
                        means.add(part.prefix + name, value)
                    _add_swaps(measures, on_device, means, part.prefix)
                for name, value in propagate(model, part.clips(), part.modes, self.collator, device, autocast):
                    means.add(part.prefix + name, value)
        finally:
            model.train(was_training)
        return means.pop()


def _add_swaps(measures: list[tuple[str, float]], batch: Batch, means: RunningMeans, prefix: str) -> None:
    right = iter(value for name, value in measures if name == "ris/right")
    present = batch.targets.flatten(1).any(1).tolist()
    by_image: dict[int, list[float]] = {}
    for entry, image in enumerate(batch.inputs["image_indices"].tolist()):
        if batch.tasks[entry] == "ris" and present[entry]:
            by_image.setdefault(image, []).append(next(right))
    for values in by_image.values():
        if len(values) > 1:
            means.add(f"{prefix}swap", float(all(values)))
