"""The four tasks on drawn scenes whose truth is known: what was asked, what was found, and how well it fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from ....evaluation.definitions import CLIP_FRAMES
from ....evaluation.world_questions import ClipQuestion, clip_questions, picture_questions
from ....metrics.region import iou

if TYPE_CHECKING:
    from ....worlds.drawn.world import World

BATCH_SIZE = 8


@dataclass(frozen=True)
class PictureAnswer:
    """What was found in a picture.

    Attributes:
        image: uint8 (H, W, 3).
        truth, found: bool (H, W).
        asked: what was looked for, in words.
        score: 0..1, how sure the model is.
        example: an annotated example, uint8 (H, W, 3) and bool (H, W), where it was given instead of words.
    """

    image: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    asked: str
    score: float
    example: tuple[np.ndarray, np.ndarray] | None = None

    @cached_property
    def iou(self) -> float:
        """Intersection over union."""
        return float(iou(self.found, self.truth))


@dataclass(frozen=True)
class ClipAnswer:
    """What was found in a clip.

    Attributes:
        frames: uint8 (T, H, W, 3).
        truth, found: bool (T, H, W) by object id.
        asked: what was looked for, in words, by object id; empty for objects that are given by masks alone.
        given: by object id the frame in which its mask was given; such frames, and those before, do not count.
    """

    frames: np.ndarray
    truth: dict[int, np.ndarray]
    found: dict[int, np.ndarray]
    asked: dict[int, str]
    given: dict[int, int]

    @cached_property
    def frame_ious(self) -> dict[int, np.ndarray]:
        """float (T,) by object id; 1 where an object neither shows nor is found, NaN where nothing was to be found."""
        ious = {number: iou(self.found[number], masks).astype(float) for number, masks in self.truth.items()}
        for number, frame in self.given.items():
            ious[number][: frame + 1] = np.nan
        return ious

    @cached_property
    def object_ious(self) -> list[float]:
        """The mean over the frames of each object; objects that show in no frame that counts are left out."""
        return [float(np.nanmean(ious)) for ious in self.frame_ious.values() if not np.isnan(ious).all()]


def find_by_sentence(pipe: Any, world: World, count: int) -> list[PictureAnswer]:
    """One sentence about one object of each of `count` pictures."""
    questions = list(picture_questions(world, count))
    asked = [{"image": question.image, "text": question.sentence} for question in questions]
    return [
        PictureAnswer(
            question.image, question.masks[question.target], _mask(found), question.sentence, float(found["score"])
        )
        for question, [found] in zip(questions, pipe(asked, batch_size=BATCH_SIZE), strict=True)
    ]


def find_by_example(pipe: Any, world: World, count: int) -> list[PictureAnswer]:
    """One annotated example of a shape, all its instances in each of `count` other pictures."""
    scenes = [world.few_shot(index) for index in range(count)]
    asked = [{name: scene[name] for name in ("image", "reference_images", "reference_masks")} for scene in scenes]
    return [
        PictureAnswer(
            scene["image"],
            scene["mask"],
            _mask(found),
            scene["category"],
            float(found["score"]),
            (scene["reference_images"][0], scene["reference_masks"][0]),
        )
        for scene, [found] in zip(scenes, pipe(asked, batch_size=BATCH_SIZE), strict=True)
    ]


def follow_masks(pipe: Any, world: World, count: int) -> list[ClipAnswer]:
    """All objects of each of `count` clips, each given by its mask in the first frame that shows it."""
    answers = []
    for question in clip_questions(world, count, CLIP_FRAMES):
        given = question.first_frames
        masks: dict[int, dict[int, np.ndarray]] = {}
        for number, frame in given.items():
            masks.setdefault(frame, {})[number] = question.masks(number)[frame]
        found = pipe(list(question.frames), masks=masks)
        answers.append(_clip_answer(question, found, list(given), {}, given))
    return answers


def follow_sentences(pipe: Any, world: World, count: int, with_masks: bool) -> list[ClipAnswer]:
    """A sentence for each object of each of `count` clips; `with_masks`: and its mask in the first frame.

    The objects are those that show in the first frame, and the clips those with at least one that has a sentence.
    """
    answers = []
    for question in islice(_clips_with_sentences(world), count):
        sentences = _sentences_at_first(question)
        masks = {number: question.masks(number)[0] for number in sentences}
        found = pipe(list(question.frames), text=sentences, masks={0: masks} if with_masks else None)
        given = dict.fromkeys(sentences, 0) if with_masks else {}
        answers.append(_clip_answer(question, found, list(sentences), sentences, given))
    return answers


def _clips_with_sentences(world: World) -> Any:
    endless = clip_questions(world, 1_000_000, CLIP_FRAMES)
    return (question for question in endless if _sentences_at_first(question))


def _sentences_at_first(question: ClipQuestion) -> dict[int, str]:
    return {number: text for number, text in question.sentences.items() if question.first_frames[number] == 0}


def _clip_answer(
    question: ClipQuestion,
    results: list[dict[str, Any]],
    numbers: list[int],
    asked: Mapping[int, str],
    given: Mapping[int, int],
) -> ClipAnswer:
    empty = np.zeros(question.label_maps.shape[1:], dtype=bool)
    return ClipAnswer(
        frames=question.frames,
        truth={number: question.masks(number) for number in numbers},
        found={number: np.stack([frame["masks"].get(number, empty) for frame in results]) for number in numbers},
        asked=dict(asked),
        given=dict(given),
    )


def _mask(found: dict[str, Any]) -> np.ndarray:
    return np.asarray(found["mask"]) > 0
