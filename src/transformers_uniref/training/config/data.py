"""Options of the data: the datasets of a run, how they are mixed, and how their images are prepared.

```yaml
datasets:
  - {name: coco, task: detection, source: data/coco, weight: 2, batch_size: 16, labels: category, short_sides: [480]}
  - {name: refcoco, task: ris, source: me/refcoco, streaming: true, weight: 1, batch_size: 8}
  - name: refcoco-video
    task: rvos
    source: me/refcoco
    language_only_share: 1.0
    pseudo_video: {enabled: true}
mixture: {max_bad_samples: 20}
```
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ...core.errors import UsageError

VIDEO_TASKS = ("vos", "rvos")
WORLD_SOURCES = {"world:stills": "stills", "world:clips": "clips"}


@dataclass
class CropConfig:
    """The alternative to plain resizing of DETR: resize the short side, cut a window, then resize to the final size.

    Attributes:
        probability: how often it is taken.
        short_sides: one is drawn for the first resizing; empty: there is none.
        least, most: sides of the window in pixels are drawn from this range (no more than the picture has).
    """

    probability: float = 0.0
    short_sides: list[int] = field(default_factory=lambda: [400, 500, 600])
    least: int = 384
    most: int = 600


@dataclass
class PseudoVideoConfig:
    """Two frames out of one image: both pass their own rotation, scaling, shift, crop and colours.

    Attributes:
        enabled: make clips of still images (tasks `vos` and `rvos`).
        rotation: largest angle in degrees, either way.
        scale: least and largest factor.
        shift: largest shift as a share of the side.
        crop: least share of the sides that a frame shows of the image; 1: all of it.
    """

    enabled: bool = False
    rotation: float = 15.0
    scale: list[float] = field(default_factory=lambda: [0.8, 1.25])
    shift: float = 0.1
    crop: float = 0.8


@dataclass
class DatasetConfig:
    """One dataset for one task. The same source may appear several times for several tasks.

    Attributes:
        name: for the log and the sample ids; unique in the run.
        task: `detection` (no reference, several targets), `ris` (a sentence), `fss` (examples of the category in other
            images), `vos` (the object's mask in another frame), `rvos` (a sentence, with the mask in another frame or
            without).
        source: `world:stills` or `world:clips` (drawn, needs `samples`); a folder written by `save_to_disk`; a Parquet
            file, or a folder or pattern of Parquet files; or an id on the Hub. Rows keep to `datasets/schema.py`. A
            recipe leaves it empty for its user to set.
        subset, split, revision: which part of it; `subset` and `revision` on the Hub only.
        streaming: read it in order, shuffled in blocks, instead of by index. `fss` then takes its examples from the
            same block (see `mixture.block`), and passes over rows whose category the block shows only once.
        samples: use only the first so many rows; 0: all.
        weight: how often it is drawn, relative to the others.
        batch_size: images of an optimiser step, over all processes and accumulated micro-batches.
        short_sides: one is drawn for the short side of every image.
        longest_side: no side becomes longer (pixels).
        crop: see [`CropConfig`].
        flip: probability of a horizontal flip; left and right change places in the sentence.
        colour: strength of random brightness, contrast and saturation (share of change; hue a quarter); 0: off.
        questions: objects that are asked for in an image (an entry of the batch each). Not for detection.
        negative_share: `ris`, `rvos`: share of images with an additional sentence that is true of nothing in the
            image, where the row has such sentences. `vos`, `rvos`: share of samples whose object is gone in the target
            frame, where there is such an object. `fss`: share of queries without the category.
        single_targets: `ris`: of a sentence that means several objects (gRefCOCO has such) each is a target of its own,
            for `targets="all"`; otherwise all of them together are one.
        shots: `fss`: probability of 1, 2, 3, ... examples.
        frame_gap: clips: the two frames are at most so many apart.
        reference_first: clips: the earlier frame is the reference; otherwise the order is drawn.
        language_only_share: `rvos`: share of batches without the reference mask.
        pseudo_video: see [`PseudoVideoConfig`].
        labels: `agnostic` (every object is class 0) or `category` (detection: the rows' category ids).
        full_resolution_masks: losses at the size of the input instead of a quarter (the rule of stage III for `vos`).
    """

    name: str
    task: Literal["detection", "ris", "fss", "vos", "rvos"]
    source: str
    subset: str = ""
    split: str = "train"
    revision: str = ""
    streaming: bool = False
    samples: int = 0
    weight: float = 1.0
    batch_size: int = 2
    short_sides: list[int] = field(default_factory=lambda: [480])
    longest_side: int = 1333
    crop: CropConfig = field(default_factory=CropConfig)
    flip: float = 0.5
    colour: float = 0.0
    questions: int = 1
    negative_share: float = 0.0
    single_targets: bool = False
    shots: list[float] = field(default_factory=lambda: [1.0])
    frame_gap: int = 10
    reference_first: bool = True
    language_only_share: float = 0.4
    pseudo_video: PseudoVideoConfig = field(default_factory=PseudoVideoConfig)
    labels: Literal["agnostic", "category"] = "agnostic"
    full_resolution_masks: bool = False

    def __post_init__(self) -> None:
        where = f"datasets ({self.name})"
        if not self.name or ":" in self.name:
            raise UsageError(f"datasets: got the name {self.name!r}; accepted: any text without a colon")
        least_of = {"batch_size": 1, "questions": 1, "frame_gap": 1, "longest_side": 32, "samples": 0}
        for option, least in least_of.items():
            if getattr(self, option) < least:
                raise UsageError(f"{where}.{option}: got {getattr(self, option)}; accepted: at least {least}")
        shares = ("flip", "colour", "negative_share", "language_only_share")
        for option in (*shares, "crop.probability", "pseudo_video.shift", "pseudo_video.crop"):
            value = operator.attrgetter(option)(self)
            if not 0 <= value <= 1:
                raise UsageError(f"{where}.{option}: got {value}; accepted: from 0 to 1")
        if not np.isfinite(self.weight) or self.weight < 0:
            raise UsageError(f"{where}.weight: got {self.weight}; accepted: 0 or more")
        if not self.short_sides:
            raise UsageError(f"{where}.short_sides: got an empty list; accepted: at least one size in pixels")
        for option, sides in {"short_sides": self.short_sides, "crop.short_sides": self.crop.short_sides}.items():
            if any(side < 1 for side in sides):
                raise UsageError(f"{where}.{option}: got {sides}; accepted: sizes in pixels")
        if not 1 <= self.crop.least <= self.crop.most:
            raise UsageError(f"{where}.crop: got {self.crop.least} to {self.crop.most}; accepted: 1 <= least <= most")
        if not self.shots or min(self.shots) < 0 or abs(sum(self.shots) - 1) > 1e-6:
            raise UsageError(f"{where}.shots: probabilities must sum to 1, got {self.shots}")
        self._check_pseudo_video(where)
        self._check_source(where)

    def _check_pseudo_video(self, where: str) -> None:
        pseudo = self.pseudo_video
        if pseudo.enabled and self.task not in VIDEO_TASKS:
            raise UsageError(f"{where}.pseudo_video: the task is {self.task}; accepted with {', '.join(VIDEO_TASKS)}")
        if len(pseudo.scale) != 2 or not 0 < pseudo.scale[0] <= pseudo.scale[1]:
            raise UsageError(f"{where}.pseudo_video.scale: got {pseudo.scale}; accepted: [least, most] above 0")
        if pseudo.crop == 0 or not 0 <= pseudo.rotation <= 180:
            raise UsageError(
                f"{where}.pseudo_video: got crop={pseudo.crop}, rotation={pseudo.rotation}; accepted: crop above 0, "
                "rotation from 0 to 180"
            )

    def _check_source(self, where: str) -> None:
        if self.source.startswith("world"):
            if self.source not in WORLD_SOURCES:
                raise UsageError(f"{where}.source: got {self.source!r}; accepted: {', '.join(WORLD_SOURCES)}")
            if not self.samples:
                raise UsageError(f"{where}.samples: the world has no end; give the number of scenes")
            if self.is_clip != (WORLD_SOURCES[self.source] == "clips"):
                needed = "world:clips" if self.is_clip else "world:stills"
                raise UsageError(f"{where}.source: the task {self.task} needs {needed} here, got {self.source}")

    @property
    def is_clip(self) -> bool:
        """Whether a sample is made of two frames of a clip."""
        return self.task in VIDEO_TASKS and not self.pseudo_video.enabled


@dataclass
class MixtureConfig:
    """How the datasets of a run are mixed.

    Attributes:
        batches: batches of a step, each of a dataset of its own draw; the loss is their mean.
        aspect_grouping: batch portraits with portraits and landscapes with landscapes.
        block: rows of a stream that are held in memory, shuffled together and grouped by aspect, times its share of a
            batch. For few-shot segmentation it has to be large enough to show categories more than once.
        max_bad_samples: samples that cannot be read are reported and replaced; more of them than this, in one process,
            end the run.
        held_out: folders or files written by `uniref data build` that list pictures which must not be trained on, in
            addition to those beside the datasets' own files.
        held_out_sets: whose val and test pictures are kept out. As soon as a dataset shows pictures of COCO, a list of
            each must be known. Empty: nothing is kept out.
    """

    batches: int = 1
    aspect_grouping: bool = True
    block: int = 16
    max_bad_samples: int = 0
    held_out: list[str] = field(default_factory=list)
    held_out_sets: list[str] = field(default_factory=lambda: ["refcoco", "refcoco+", "refcocog"])

    def __post_init__(self) -> None:
        for option, least in {"batches": 1, "block": 1, "max_bad_samples": 0}.items():
            if getattr(self, option) < least:
                raise UsageError(f"mixture.{option}: got {getattr(self, option)}; accepted: at least {least}")


def check_datasets(datasets: list[DatasetConfig], accumulation: int = 1) -> None:
    """Check what concerns several datasets at once.

    Raises:
        ValueError: a name is used twice, no weight is positive, or a batch cannot be cut in `accumulation` parts.
    """
    names = [dataset.name for dataset in datasets]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UsageError(f"datasets: the name {doubled[0]!r} is used twice")
    if sum(dataset.weight for dataset in datasets) <= 0:
        raise UsageError(f"datasets: the weights sum to zero ({', '.join(names)}); at least one must be positive")
    check_shares(datasets, 1, accumulation)


def check_shares(datasets: list[DatasetConfig], num_processes: int, accumulation: int) -> None:
    """Check that every process has at least one sample in every micro-batch.

    Raises:
        ValueError: a batch is too small; names the dataset's option.
    """
    for dataset in datasets:
        if dataset.weight and dataset.batch_size < num_processes * accumulation:
            raise UsageError(
                f"datasets ({dataset.name}).batch_size: got {dataset.batch_size}, too few to share between "
                f"{num_processes} process(es) x accumulation {accumulation}; at least {num_processes * accumulation}"
            )
