"""Sections of the procedural world: its micro-batches, their sizes, and how scenes become samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ...core.errors import UsageError

TASKS = ("ris", "fss", "vos", "rvos", "rvos_text", "detection", "point", "point_ris", "sound")
SHARES = (
    "photo_share", "stale_share", "scrap_share", "predicted_share", "photograph_absent", "photograph_many",
    "generalised_share",
)  # fmt: skip
REFERENCES_OF_TASK = {
    "ris": "language", "rvos_text": "language", "fss": "mask", "vos": "mask", "rvos": "both", "detection": "none",
    "point": "point", "point_ris": "point and language", "sound": "sound",
}  # fmt: skip
"""The references that a task gives to the model; one micro-batch holds tasks of one kind only."""

OF_PHOTOGRAPHS = ("ris", "fss", "detection", "point")
"""Tasks that `domain: photographs` has."""


@dataclass
class ImageSizePhase:
    """Scenes are drawn `size` pixels wide and high until the share `until` (0 to 1] of all steps is done."""

    until: float
    size: int


@dataclass
class MicroBatchConfig:
    """One forward and backward pass of every optimiser step.

    `scenes` says how many scenes of each task it holds; all its tasks must give the model the same kind of references
    (sentences: ris, rvos_text; masks: fss, vos; both: rvos; none, for all objects are asked for: detection; clicks, a
    box or a scribble: point, with a sentence: point_ris; sounds: sound). `weight` multiplies its loss. It takes part in
    the steps `offset`, `offset + every`, `offset + 2 * every`, ...

    `size` is the side of its scenes in pixels (0: as `image_sizes` says), `photo_share` the share of them that is drawn
    from photographed clips (None: as the section `sampling` says). With `domain: photographs` all are drawn from the
    folders `sampling.photographs` instead; tasks are then those of `OF_PHOTOGRAPHS`. `full_resolution_masks` says at
    which size its masks are compared: that of the pictures or a quarter (None: as the model's configuration says).
    """

    scenes: dict[str, int]
    weight: float = 1.0
    every: int = 1
    offset: int = 0
    size: int = 0
    photo_share: float | None = None
    domain: Literal["", "photographs"] = ""
    full_resolution_masks: bool | None = None


@dataclass
class SamplingConfig:
    """How scenes become samples. Shares are probabilities in [0, 1].

    Attributes:
        objects_per_scene: objects of one scene or clip that are asked for (one entry of the batch each).
        pointed_objects: the same of the task `point`.
        absent_share: extra sentences that fit no object, a scene (trains the score).
        hidden_share: share of clips with a mask reference for which frames are sought that hide an object
            (with `absent_share`, it is asked for). Without it the score learns little about videos.
        easy_share_start, easy_share_end: share of easy scenes at step 0 and from `easy_share_until` of all steps on,
            linear in between.
        shots: probability of 1, 2, 3, ... mask references in a micro-batch.
        clip_shots: the same where the micro-batch holds clips alone; empty: `shots`. A propagation has two references
            (the first frame and the one before) in all frames but one.
        stale_share: share of clips whose later references are up to three frames older, as they are in a propagation
            through frames that hide the object.
        generalised_share: share of drawn `ris` scenes for training whose sentences mean none, one or many objects
            ("two red circles", "all but the largest"); above 0, the vocabulary gains their words.
        random_shape_share: share of few-shot scenes whose category is a randomly drawn shape without a name.
        corrupted_share: share of `vos` references that are shifted, grown, shrunk, or spilt over another object.
        conflict_share: share of `rvos` samples whose mask belongs to another object than the sentence, or is corrupted.
        predicted_share: share of the entries of a clip with two or more mask references whose later ones carry the mask
            that the model itself gives to that frame, as in a propagation, instead of the true or a corrupted one.
        clip_frames: length of a clip.
        photo_folder: folder of sequences with masks for a second domain, photographs; see `worlds/photo/world.py`.
        photo_share: share of training scenes that are drawn from it.
        photo_shares: the same for single tasks, such as `{vos: 0.6}`; the others keep `photo_share`.
        scrap_share: share of photographed `vos` clips whose pasted objects are nameless scraps of photographs.
        photographs: folders of photographs with masks, in the layout of COCO or of ADE20K; see `worlds/photographs`.
        photograph_shares: how often each is drawn; empty: by the root of its length.
        photograph_sentences: most sentences of a photograph.
        photograph_absent, photograph_many: share of photographs with a sentence that is true of nothing, and of those
            with several objects of a class that have a sentence about all of them.
        photo_validation: sequences of it that are never trained on and measured by the validation; empty: those that
            [`PhotoWorld`] holds out by default.
    """

    objects_per_scene: int = 2
    pointed_objects: int = 3
    absent_share: float = 0.3
    hidden_share: float = 0.0
    easy_share_start: float = 0.6
    easy_share_end: float = 0.1
    easy_share_until: float = 0.5
    shots: list[float] = field(default_factory=lambda: [0.7, 0.2, 0.1])
    clip_shots: list[float] = field(default_factory=list)
    stale_share: float = 0.0
    generalised_share: float = 0.0
    random_shape_share: float = 0.4
    corrupted_share: float = 0.3
    conflict_share: float = 0.3
    predicted_share: float = 0.0
    clip_frames: int = 8
    photo_folder: str = ""
    photo_share: float = 0.0
    photo_shares: dict[str, float] = field(default_factory=dict)
    scrap_share: float = 0.0
    photographs: list[str] = field(default_factory=list)
    photograph_shares: list[float] = field(default_factory=list)
    photograph_sentences: int = 3
    photograph_absent: float = 0.4
    photograph_many: float = 0.3
    photo_validation: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for option in ("shots", "clip_shots"):
            shares = getattr(self, option)
            if (shares or option == "shots") and abs(sum(shares) - 1.0) > 1e-6:
                raise UsageError(f"sampling.{option}: probabilities must sum to 1, got {shares}")
        named = {option: getattr(self, option) for option in SHARES}
        for task, share in self.photo_shares.items():
            if task not in TASKS:
                raise UsageError(f"sampling.photo_shares: unknown task {task!r}; tasks are {', '.join(TASKS)}")
            named[f"photo_shares.{task}"] = share
        for option, share in named.items():
            if not 0 <= share <= 1:
                raise UsageError(f"sampling.{option}: got {share}; accepted: 0 to 1")
        if self.photo_shares and not self.photo_share:
            raise UsageError("sampling.photo_shares: given without sampling.photo_share; accepted with one above 0")


def check_micro_batches(micro_batches: Sequence[MicroBatchConfig], sampling: SamplingConfig) -> None:
    """Refuse micro-batches that cannot make a step.

    Raises:
        ValueError: the first such option is named.
    """
    if micro_batches and all(micro_batch.every > 1 for micro_batch in micro_batches):
        raise UsageError("micro_batches: one of them must take part in every step (every: 1)")
    for position, micro_batch in enumerate(micro_batches):
        where = f"micro_batches[{position}]"
        unknown = sorted(set(micro_batch.scenes) - set(TASKS))
        if unknown:
            raise UsageError(f"{where}.scenes: unknown task {unknown[0]!r}; tasks are {', '.join(TASKS)}")
        if not micro_batch.scenes or min(micro_batch.scenes.values()) < 1:
            raise UsageError(f"{where}.scenes: got {micro_batch.scenes}; every task needs at least one scene")
        if len({REFERENCES_OF_TASK[task] for task in micro_batch.scenes}) > 1:
            raise UsageError(
                f"{where}.scenes: got {', '.join(micro_batch.scenes)}, which give different kinds of references; "
                "put them in separate micro-batches"
            )
        if not 0 <= micro_batch.offset < micro_batch.every:
            raise UsageError(
                f"{where}: got every={micro_batch.every}, offset={micro_batch.offset}; accepted: "
                "every at least 1, offset from 0 to every - 1"
            )
        share = micro_batch.photo_share or 0.0
        if not 0 <= share <= 1:
            raise UsageError(f"{where}.photo_share: got {share}; accepted: 0 to 1")
        if share and not sampling.photo_share:
            raise UsageError(f"{where}.photo_share: given without sampling.photo_share; accepted with one above 0")
        if micro_batch.domain and not set(OF_PHOTOGRAPHS).issuperset(micro_batch.scenes):
            raise UsageError(
                f"{where}.domain: got {micro_batch.domain!r} with {', '.join(micro_batch.scenes)}; accepted with the "
                f"tasks {', '.join(OF_PHOTOGRAPHS)}"
            )
        if micro_batch.size < 0:
            raise UsageError(f"{where}.size: got {micro_batch.size}; accepted: pixels, or 0")


def check_image_sizes(phases: Sequence[ImageSizePhase]) -> None:
    """Refuse phases that do not cover a run.

    Raises:
        ValueError: their ends do not rise, or the last is before the run's.
    """
    ends = [phase.until for phase in phases]
    if not ends or ends != sorted(ends) or ends[-1] < 1.0:
        raise UsageError(f"image_sizes: `until` values must rise and end at 1.0, got {ends}")
