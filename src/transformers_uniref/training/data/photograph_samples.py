"""Training samples from photographs: sentences for none, one, many or all of their objects, and pairs of one class."""

from __future__ import annotations

import numpy as np

from ...worlds.photographs.photographs import Photograph, Photographs
from ...worlds.pointing import draw_pointed, is_one_piece
from ..config.world import SamplingConfig
from .mixture import ScenePlan
from .samples import Sample, entry_about, entry_about_all, few_shot_sample


def draw_photograph(photographs: Photographs, plan: ScenePlan, sampling: SamplingConfig) -> Sample:
    """The planned photograph with its questions.

    Args:
        photographs: of the plan's size.
        plan: its task is `ris`, `fss`, `detection` or `point`.
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
    if plan.task == "point":
        return _pointed(scene, plan, sampling)
    entries = [entry_about(plan.task, scene.masks, one.numbers, one.text) for one in scene.references]
    for entry in entries:
        entry.sample_id = f"photograph-{plan.task}:{plan.index}"
    return Sample(scene.image, entries, semantic=scene.semantic, folder=scene.folder)


def _pointed(scene: Photograph, plan: ScenePlan, sampling: SamplingConfig) -> Sample:
    """Single objects of a photograph that are pointed at; regions in several pieces are not asked for."""
    rng = np.random.default_rng(plan.seed)
    single = {one.numbers[0] for one in scene.references if len(one.numbers) == 1}
    usable = [number for number in sorted(single) if is_one_piece(scene.masks[number])]
    entries = []
    for number in rng.permutation(usable)[: sampling.pointed_objects]:
        entry = entry_about(plan.task, scene.masks, [int(number)], None)
        entry.pointed = draw_pointed(entry.target, entry.others, rng)
        entry.sample_id = f"photograph-point:{plan.index}"
        entries.append(entry)
    return Sample(scene.image, entries, semantic=scene.semantic, folder=scene.folder)
