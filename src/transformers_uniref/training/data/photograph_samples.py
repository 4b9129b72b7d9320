"""Training samples from photographs: sentences for none, one, many or all of their objects, and pairs of one class."""

from __future__ import annotations

from ...worlds.photographs import Photographs
from ..config.world import SamplingConfig
from .mixture import ScenePlan
from .samples import Sample, entry_about, entry_about_all, few_shot_sample


def draw_photograph(photographs: Photographs, plan: ScenePlan, sampling: SamplingConfig) -> Sample:
    """The planned photograph with its questions.

    Args:
        photographs: of the plan's size.
        plan: its task is `ris`, `fss` or `detection`.
        sampling: how many sentences, and of which kinds.
    """
    if plan.task == "fss":
        pair = photographs.few_shot(plan.index, shots=plan.shots)
        return few_shot_sample(plan.task, pair.values(), f"photograph-fss:{plan.index}")
    if plan.task == "detection":
        scene = photographs.everything(plan.index)
        entry = entry_about_all(scene.masks, scene.certainty, f"photograph-detection:{plan.index}")
        return Sample(scene.image, [entry])
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
