"""A small measure of propagation: from the first frame's mask on, each answer is the reference of the next frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.collation import Collator
from ..data.samples import Entry, Sample
from ..step.measures import mask_iou

OBJECTS_PER_CLIP = 2
MODES = ("vos", "rvos", "conflict")


@dataclass(frozen=True)
class Clip:
    """A clip whose objects are known in every frame.

    Attributes:
        frames: (T, H, W, 3) uint8.
        label_maps: (T, H, W) integers, 0 for none.
        sentences: by object; objects without any are asked for by their mask alone, where that is asked.
    """

    frames: np.ndarray
    label_maps: np.ndarray
    sentences: dict[int, list[str]]


@dataclass(frozen=True)
class _Question:
    """An object of a clip, another object of its first frame (None: there is none), and a sentence."""

    clip: Clip
    number: int
    another: int | None
    sentence: str | None

    def mask(self, time: int) -> np.ndarray:
        return np.asarray(self.clip.label_maps[time] == self.number)


def _questions(clips: Sequence[Clip], with_sentence: bool) -> list[_Question]:
    questions = []
    for clip in clips:
        first = [int(v) for v in np.unique(clip.label_maps[0]) if v]
        usable = [number for number in first if clip.sentences.get(number) or not with_sentence]
        for number in usable[:OBJECTS_PER_CLIP]:
            another = next((other for other in first if other != number), None)
            sentence = next(iter(clip.sentences.get(number, ())), None)
            questions.append(_Question(clip, number, another, sentence))
    return questions


def propagate(
    model: Any,
    clips: Sequence[Clip],
    modes: tuple[str, ...],
    collator: Collator,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager],
) -> Iterator[tuple[str, float]]:
    """Follow up to `OBJECTS_PER_CLIP` objects of every clip through it.

    Args:
        model: in evaluation mode.
        clips: of any size and length; those of equal size and length share their passes.
        modes: of `MODES`. `vos` gives the first mask alone, `rvos` a sentence with it; `conflict` gives a sentence with
            the first mask of another object.
        device, autocast: of the model's passes.

    Yields:
        (name, value) pairs, to be averaged: `vos/propagated` and `rvos/propagated`, an IoU, and `rvos/recovered`,
        whether the fourth frame after the first shows the object of the sentence although the first mask was another's.
    """
    groups: dict[tuple[int, ...], list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.label_maps.shape, []).append(clip)
    for group in groups.values():
        for mode in modes:
            asked = _questions(group, with_sentence=modes != ("vos",))
            if mode == "conflict":
                asked = [question for question in asked if question.another is not None]
            if asked:
                yield from _follow(model, asked, mode, collator, device, autocast)


def _follow(
    model: Any,
    asked: Sequence[_Question],
    mode: str,
    collator: Collator,
    device: torch.device,
    autocast: Callable[[], AbstractContextManager],
) -> Iterator[tuple[str, float]]:
    initial = np.stack([q.clip.label_maps[0] == (q.another if mode == "conflict" else q.number) for q in asked])
    previous = initial
    height, width = initial.shape[1:]
    for time in range(1, len(asked[0].clip.frames)):
        samples = []
        for row, question in enumerate(asked):
            frames = question.clip.frames
            entry = Entry(
                mode,
                question.mask(time),
                np.zeros((0, height, width), dtype=bool),
                None if mode == "vos" else question.sentence,
                np.stack([frames[0], frames[time - 1]]),
                np.stack([initial[row], previous[row]]),
            )
            samples.append(Sample(frames[time], [entry]))
        batch = collator(samples).to(device)
        inputs = {name: value for name, value in batch.inputs.items() if name != "labels"}
        with torch.no_grad(), autocast():
            output = model(**inputs)
        predicted = upsample(output.pred_masks[:, 0].float(), batch.targets.shape[-2:]) > 0
        ious = mask_iou(predicted, batch.targets > 0.5).tolist()
        for iou, target in zip(ious, batch.targets, strict=True):
            if not target.any():
                continue
            if mode != "conflict":
                yield f"{mode}/propagated", iou
            elif time == 4:
                yield "rvos/recovered", float(iou > 0.5)
        now = predicted.cpu().numpy()[:, :height, :width]
        # An empty prediction keeps the reference that was there.
        previous = np.where(now.any((1, 2), keepdims=True), now, previous)


def upsample(logits: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """(N, h, w) logits to (N, H, W), bilinear."""
    return F.interpolate(logits[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]
