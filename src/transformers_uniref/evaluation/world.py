"""The procedural world as a benchmark of all four tasks. What is measured is in `definitions`, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from ..core.errors import UsageError
from ..core.score_gate import gate_of, passes
from ..inference.results import SegmentedObject
from ..metrics import class_mean_iou, frame_scores, intersection_and_union, iou, most_overlapping, precision_at
from ..worlds.drawn.world import World
from .answers import Answers
from .definitions import CLIP_FRAMES, CONFLICT_FRAME, TEST_SEED
from .report import Report
from .tally import Tally
from .world_questions import ClipQuestion, PictureQuestion, clip_questions, picture_questions

Item = TypeVar("Item")

DEFAULT_GATE = 0.3
"""Of whoever answers without naming a gate."""

FEW_SHOT_TESTS: dict[str, dict[str, Any]] = {
    "miou_1shot": {"shots": 1},
    "miou_3shot": {"shots": 3},
    "novel_miou_1shot": {"shots": 1, "novel": True},
}


def evaluate_world(
    answers: Answers,
    split: str = "test",
    seed: int = TEST_SEED,
    images: int = 400,
    clips: int = 100,
    size: int = 128,
    batch_size: int = 16,
    threshold: float | None = None,
    progress: bool = False,
) -> Report:
    """Asks about drawn scenes and measures the answers.

    Args:
        answers: who is asked; a model through `ModelAnswers`.
        split: "test" or "validation".
        seed: another seed draws other scenes.
        images: pictures for sentences, and as many for each of the three few-shot tests.
        clips: clips of 8 frames.
        size: side of the pictures in pixels.
        batch_size: pictures that are asked about together.
        threshold: the score gate of `sanity.absent_empty` and `sanity.present_nonempty`, 0 for none. Default: that of
            who is asked (`score_threshold`), 0.3 where that names none.
        progress: show bars on standard error, where it is a terminal.

    Raises:
        ValueError: an argument out of its range, or the train split, whose scenes would prove nothing.
    """
    if split not in ("test", "validation"):
        raise UsageError(f"`split` must be test or validation, got {split!r}")
    for name, value in (("images", images), ("clips", clips), ("batch_size", batch_size)):
        if value < 1:
            raise UsageError(f"`{name}` must be at least 1, got {value}")
    gate = gate_of(threshold, getattr(answers, "score_threshold", DEFAULT_GATE)) or 0.0
    world = World(split=split, size=size, seed=seed)
    settings = {"dataset": "world", "split": split, "seed": seed, "images": images, "clips": clips}
    report = Report(Tally(), {**settings, "frames": CLIP_FRAMES, "size": size, "threshold": gate})
    measure_sentences(
        answers, _shown(picture_questions(world, images), images, "sentences", progress), batch_size, gate, report
    )
    for name, options in FEW_SHOT_TESTS.items():
        scenes = (world.few_shot(index, **options) for index in range(images))
        measure_examples(answers, _shown(scenes, images, f"fss {name}", progress), batch_size, name, report)
    questions = clip_questions(world, clips, CLIP_FRAMES)
    for scene, question in enumerate(_shown(questions, clips, "clips", progress)):
        measure_masks_in_clip(answers, question, scene, report.tally)
        measure_sentences_in_clip(answers, question, scene, report.tally)
    return report


# ------------------------------------------------------------------------------------------------------------- pictures
def measure_sentences(
    answers: Answers, questions: Iterable[PictureQuestion], batch_size: int, threshold: float, report: Report
) -> None:
    """`ris`, and what of `sanity` asks about pictures with sentences."""
    ious: list[float] = []
    present_scores: list[float] = []
    absent_scores: list[float] = []
    for batch in _batches(questions, batch_size):
        sentences = [[q.sentence, None, q.other_sentence or q.sentence, q.absent or q.sentence] for q in batch]
        for question, found in zip(batch, answers.to_sentences([q.image for q in batch], sentences), strict=True):
            ious.append(_measure_picture(question, found, len(ious), threshold, report.tally))
            present_scores.append(found[0].score)
            if question.absent is not None:
                absent_scores.append(found[3].score)
    report.details.update({f"ris/precision_{at}": value for at, value in precision_at(ious).items()})
    # A gate that passes 95 % of what is there and stops 85 % of what is not lies between these two, if there is one.
    report.details["sanity/present_score_5th_percentile"] = float(np.percentile(present_scores, 5))
    if absent_scores:
        report.details["sanity/absent_score_85th_percentile"] = float(np.percentile(absent_scores, 85))


def _measure_picture(
    question: PictureQuestion, found: list[SegmentedObject], scene: int, threshold: float, tally: Tally
) -> float:
    """Measures the answers to the sentence, to nothing, to another object's sentence, to one that is not there."""
    right, nothing, other, absent = found
    target = question.masks[question.target]
    intersection, union = intersection_and_union(right.mask, target)
    value = float(intersection / union)
    chosen = most_overlapping(right.mask, question.masks) == question.target
    tally.add("ris/miou", scene, value)
    tally.add("ris/oiou", scene, float(intersection), float(union))
    tally.add("ris/right_object", scene, chosen)
    tally.add(f"ris/miou_{question.kind}", scene, value)
    tally.add(f"ris/right_object_{question.kind}", scene, chosen)
    tally.add("sanity/present_nonempty", scene, _is_given(right, threshold))
    tally.add("sanity/empty_text_miou", scene, float(iou(nothing.mask, target)))
    if question.other is not None:
        moved = most_overlapping(other.mask, question.masks) == question.other
        tally.add("sanity/swap_rate", scene, moved)
        tally.add("sanity/swap_both_right", scene, moved and chosen)
    if question.absent is not None:
        tally.add("sanity/absent_empty", scene, not _is_given(absent, threshold))
    return value


def _is_given(answer: SegmentedObject, threshold: float) -> bool:
    return bool(answer.is_found and passes(answer.score, threshold))


def measure_examples(
    answers: Answers, scenes: Iterable[dict[str, Any]], batch_size: int, name: str, report: Report
) -> None:
    """One measure of `fss`; with one shot of named shapes also `sanity.empty_mask_miou`."""
    intersections: list[int] = []
    unions: list[int] = []
    categories: list[str] = []
    for batch in _batches(scenes, batch_size):
        images, examples = [scene["image"] for scene in batch], [scene["reference_images"] for scene in batch]
        masks = [scene["reference_masks"] for scene in batch]
        for scene, answer in zip(batch, answers.to_examples(images, examples, masks), strict=True):
            intersection, union = intersection_and_union(answer.mask, scene["mask"])
            report.tally.add(f"fss/{name}", len(unions), float(intersection / union))
            intersections.append(int(intersection))
            unions.append(int(union))
            categories.append(scene["category"])
        if name == "miou_1shot":
            empty = answers.to_examples(images, examples, [np.zeros_like(mask) for mask in masks])
            for number, (scene, answer) in enumerate(zip(batch, empty, strict=True), start=len(unions) - len(batch)):
                report.tally.add("sanity/empty_mask_miou", number, float(iou(answer.mask, scene["mask"])))
    report.details[f"fss/{name}_by_class"], _ = class_mean_iou(intersections, unions, categories)


# ---------------------------------------------------------------------------------------------------------------- clips
def measure_masks_in_clip(answers: Answers, question: ClipQuestion, scene: int, tally: Tally) -> None:
    """`vos`: an object that shows in the last frame only leaves nothing to measure."""
    found = answers.to_masks(question.frames, question.label_maps, question.first_frames)
    for number, first in question.first_frames.items():
        if first + 1 < len(question.frames):
            _add_object("vos", "", found[number][first + 1 :], question.masks(number)[first + 1 :], scene, tally)


def measure_sentences_in_clip(answers: Answers, question: ClipQuestion, scene: int, tally: Tally) -> None:
    """`rvos`, and `sanity.conflict_recovery`."""
    frames, sentences = question.frames, question.sentences
    alone = answers.to_clip_sentences(frames, sentences, {}, propagate=False)
    # Objects with sentences do not influence each other: misled ones can be followed beside the others, as further ids.
    beyond = max(question.first_frames)
    misled = {number + beyond: sentences[number] for number in question.conflicts}
    wrong = {number + beyond: question.masks(other)[0] for number, other in question.conflicts.items()}
    followed = answers.to_clip_sentences(frames, {**sentences, **misled}, wrong, propagate=True)
    for number in sentences:
        _add_object("rvos", "_text", alone[number], question.masks(number), scene, tally)
        _add_object("rvos", "_text_mask", followed[number], question.masks(number), scene, tally)
    numbers = sorted(question.first_frames)
    for number, other in question.conflicts.items():
        shown = np.stack([question.masks(n) for n in numbers], axis=1)[: CONFLICT_FRAME + 1]
        if not all(question.masks(one)[CONFLICT_FRAME].any() for one in (number, other)):
            continue
        on = [
            None if index is None else numbers[index]
            for index in map(most_overlapping, followed[number + beyond], shown)
        ]
        tally.add("sanity/conflict_recovery", scene, on[CONFLICT_FRAME] == number)
        tally.add("sanity/conflict_recovered_by_then", scene, number in on[1:])
        tally.add("sanity/conflict_mask_followed", scene, on[CONFLICT_FRAME] == other)


def _add_object(section: str, suffix: str, predicted: np.ndarray, target: np.ndarray, scene: int, tally: Tally) -> None:
    j, f = frame_scores(predicted, target)
    tally.add(f"{section}/jf{suffix}", scene, float(j.mean() + f.mean()) / 2)
    tally.add(f"{section}/j{suffix}", scene, float(j.mean()))
    tally.add(f"{section}/f{suffix}", scene, float(f.mean()))


# ------------------------------------------------------------------------------------------------------------ iteration
def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Scenes are drawn when their turn comes; `inference.pictures` would want them all."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _shown(items: Iterable[Item], count: int, name: str, progress: bool) -> Iterable[Item]:
    from tqdm import tqdm

    # With None the bar shows on a terminal only.
    return tqdm(items, total=count, desc=name, unit="", disable=None if progress else True, leave=False)
