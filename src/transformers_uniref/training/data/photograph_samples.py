"""Training samples from photographs: sentences for none, one or many of their objects, and pairs of one class."""

from __future__ import annotations

import numpy as np

from ...worlds.photographs import Photographs
from ..config.world import SamplingConfig
from .mixture import ScenePlan
from .samples import Entry, Sample, entry_about


def draw_photograph(photographs: Photographs, plan: ScenePlan, sampling: SamplingConfig) -> Sample:
    """The planned photograph with its questions.

    Args:
        photographs: of the plan's size.
        plan: its task is `ris` or `fss`.
        sampling: how many sentences, and of which kinds.
    """
    if plan.task == "fss":
        return _few_shot(photographs, plan)
    scene = photographs.image(
        plan.index,
        sentences=sampling.photograph_sentences,
        absent=sampling.photograph_absent,
        many=sampling.photograph_many,
    )
    entries = [entry_about(plan.task, scene.masks, one.numbers, one.text) for one in scene.references]
    for entry in entries:
        entry.sample_id = f"photograph-{plan.task}:{plan.index}"
    return Sample(scene.image, entries, semantic=scene.semantic, folder=scene.folder)


def _few_shot(photographs: Photographs, plan: ScenePlan) -> Sample:
    scene = photographs.few_shot(plan.index, shots=plan.shots)
    entry = Entry(
        plan.task,
        scene.mask,
        np.zeros((0, *scene.mask.shape), bool),
        reference_images=scene.reference_images,
        reference_masks=scene.reference_masks,
        sample_id=f"photograph-fss:{plan.index}",
    )
    return Sample(scene.image, [entry])
