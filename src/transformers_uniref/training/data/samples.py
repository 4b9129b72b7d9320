"""What a data source hands to the collation: one image with the questions that are asked about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...processors.targets import relative_boxes
from ...worlds.pointing import Pointed
from .mixture import ScenePlan


@dataclass
class Targets:
    """Several objects to find in one image (detection, and sentences that mean several).

    Attributes:
        boxes: (t, 4) float32, cx, cy, width, height as shares of the image's width and height.
        class_labels: (t,) int64.
        masks: (t, H, W) bool, or None where only boxes are known (then the model needs the BoxInst loss).
    """

    boxes: np.ndarray
    class_labels: np.ndarray
    masks: np.ndarray | None = None


@dataclass
class Entry:
    """One question about an image and its answer.

    Attributes:
        task: name of the task, for the log.
        sentence: language reference, or None.
        reference_images: (K, H, W, 3) uint8, or K pictures of several sizes, or None.
        reference_masks: (K, H, W) bool, or K masks, or None.
        pointed: what was clicked at or boxed in the image itself, or None.
        target: (H, W) bool; no pixel set means that the target is absent. Of several targets their union.
        others: (m, H, W) bool, masks of other objects of the image (for the log: was the right object chosen?).
        targets: the objects of an entry that has several, or None.
        sample_id: "dataset:sample", for reports.
        certainty: (h, w) float32 in 0..1, how sure it is that a pixel is of no object but the targets; None: sure.
        sound: (samples,) float32 reference, or None.
    """

    task: str
    target: np.ndarray
    others: np.ndarray
    sentence: str | None = None
    reference_images: np.ndarray | list[np.ndarray] | None = None
    reference_masks: np.ndarray | list[np.ndarray] | None = None
    targets: Targets | None = None
    sample_id: str = ""
    pointed: Pointed | None = None
    certainty: np.ndarray | None = None
    sound: np.ndarray | None = None


def entry_about_all(masks: np.ndarray, certainty: np.ndarray | None = None, sample_id: str = "") -> Entry:
    """The question without a reference: all objects of an image, bool masks (n, H, W)."""
    targets = Targets(relative_boxes(masks), np.zeros(len(masks), np.int64), masks)
    none = np.zeros((0, *masks.shape[1:]), bool)
    return Entry("detection", np.asarray(masks.any(0)), none, targets=targets, sample_id=sample_id, certainty=certainty)


def entry_about(task: str, masks: np.ndarray, numbers: Sequence[int], sentence: str | None) -> Entry:
    """The question about none, one or many of an image's objects.

    Args:
        task: its name.
        masks: bool (n, H, W), every object of the image.
        numbers: of those that are meant.
        sentence: which says so, if one does.
    """
    meant = masks[list(numbers)]
    target = np.logical_or.reduce(meant, axis=0, initial=False)
    others = np.delete(masks, list(numbers), axis=0)
    # What lies inside the target (a part that is also an object, the class's whole region) is no other object.
    apart = [mask for mask in others if (mask & target).sum() < 0.5 * max(mask.sum(), 1)]
    stacked = np.stack(apart) if apart else np.zeros((0, *target.shape), bool)
    return Entry(task, target, stacked, sentence, targets=several_targets(meant))


def several_targets(masks: np.ndarray) -> Targets | None:
    """Objects, bool (t, H, W), that one sentence means; None for fewer than two, which `Entry.target` says."""
    return Targets(relative_boxes(masks), np.zeros(len(masks), np.int64), masks) if len(masks) > 1 else None


@dataclass
class Sample:
    """One query image, (H, W, 3) uint8, and at least one question.

    `original_size`, where known, is its (height, width) before it was resized. `semantic` (H, W) int16, where known,
    has the number of each pixel's class among those of the data's folder number `folder`, -1 where it has no label.
    """

    image: np.ndarray
    entries: list[Entry] = field(default_factory=list)
    original_size: tuple[int, int] | None = None
    semantic: np.ndarray | None = None
    folder: int = 0


def few_shot_sample(task: str, scene: Mapping[str, Any], sample_id: str = "") -> Sample:
    """The question that a few-shot scene asks; `scene` has the keys of `World.few_shot`."""
    target = scene["mask"]
    none = np.zeros((0, *target.shape), dtype=bool)
    images, masks = scene["reference_images"], scene["reference_masks"]
    entry = Entry(task, target, none, reference_images=images, reference_masks=masks, sample_id=sample_id)
    return Sample(scene["image"], [entry])


class SampleSource(Protocol):
    """A data source: from the plan of a scene to a sample, without any state of its own."""

    def draw(self, plan: ScenePlan) -> Sample:
        """Draw the planned scene. Equal plans give equal samples."""
        ...

    def vocabulary(self) -> Sequence[str]:
        """The words that its sentences are made of."""
        ...
