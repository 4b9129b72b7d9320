"""Training samples from photographs: sentences for none, one or many of their objects, and pairs of one class."""

from __future__ import annotations

import numpy as np

from ...processors.targets import relative_boxes
from ...worlds.photographs import Photographs
from ...worlds.photographs.photographs import Photograph
from ..config.world import SamplingConfig
from .mixture import ScenePlan
from .samples import Entry, Sample, Targets, few_shot_sample


def draw_photograph(photographs: Photographs, plan: ScenePlan, sampling: SamplingConfig) -> Sample:
    """The planned photograph with its questions.

    Args:
        photographs: of the plan's size.
        plan: its task is `ris` or `fss`.
        sampling: how many sentences, and of which kinds.
    """
    if plan.task == "fss":
        pair = photographs.few_shot(plan.index, shots=plan.shots)
        return few_shot_sample(plan.task, pair.values(), f"photograph-fss:{plan.index}")
    scene = photographs.image(
        plan.index,
        sentences=sampling.photograph_sentences,
        absent=sampling.photograph_absent,
        many=sampling.photograph_many,
    )
    entries = [_entry(plan.task, scene, reference.numbers, reference.text) for reference in scene.references]
    for entry in entries:
        entry.sample_id = f"photograph-{plan.task}:{plan.index}"
    return Sample(scene.image, entries, semantic=scene.semantic, folder=scene.folder)


def _entry(task: str, scene: Photograph, numbers: tuple[int, ...], text: str) -> Entry:
    meant = scene.masks[list(numbers)]
    target = np.logical_or.reduce(meant, axis=0, initial=False)
    others = np.delete(scene.masks, list(numbers), axis=0)
    # What lies inside the target (a part that is also an object, the class's whole region) is no other object.
    apart = [mask for mask in others if (mask & target).sum() < 0.5 * max(mask.sum(), 1)]
    stacked = np.stack(apart) if apart else np.zeros((0, *target.shape), bool)
    entry = Entry(task, target, stacked, text)
    if len(meant) > 1:
        entry.targets = Targets(relative_boxes(meant), np.zeros(len(meant), np.int64), meant)
    return entry
