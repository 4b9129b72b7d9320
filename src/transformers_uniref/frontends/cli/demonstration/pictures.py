"""What the demonstration shows: truth and find side by side, as sheets of pictures and as animations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ....media.overlays import contact_sheet, overlay_masks
from .tasks import ClipAnswer, PictureAnswer

PICTURE_CELL = (208, 208)
STILL_CELL = (128, 128)
ANIMATION_CELL = (288, 288)
FADED, TINT = 0.4, 0.15


def highlight(image: np.ndarray, masks: Mapping[int, np.ndarray]) -> np.ndarray:
    """Fades all that belongs to no mask: drawn objects have the strong colours that a tint would hide among.

    Args:
        image: uint8 (H, W, 3).
        masks: bool (H, W) by object id.

    Returns:
        uint8 (H, W, 3), a new array.
    """
    inside = np.any([*masks.values(), np.zeros(image.shape[:2], dtype=bool)], axis=0)
    faded = np.where(inside[..., None], image, FADED * image).astype(np.uint8)
    return overlay_masks(faded, masks, opacity=TINT)


def picture_sheet(answers: Sequence[PictureAnswer], questions_in_a_row: int = 2) -> np.ndarray:
    """Truth and find of each question, after the example where there is one; uint8 (H, W, 3)."""
    pictures, captions = [], []
    for answer in answers:
        if answer.example is not None:
            pictures.append(highlight(answer.example[0], {1: answer.example[1]}))
            captions.append(f"example: {answer.asked}")
        pictures += [highlight(answer.image, {1: answer.truth}), highlight(answer.image, {1: answer.found})]
        captions += [
            "truth" if answer.example is not None else answer.asked,
            f"found: IoU {answer.iou:.2f}, score {answer.score:.2f}",
        ]
    columns = len(pictures) // len(answers) * questions_in_a_row
    return contact_sheet(pictures, captions, columns=columns, cell=PICTURE_CELL)


def clip_sheet(ways: Mapping[str, Sequence[ClipAnswer]]) -> np.ndarray:
    """All frames of clips, for each clip a row with the truth and one for each way in which it was asked.

    Args:
        ways: by what it is called, the answers to one way of asking about the same clips and objects.

    Returns:
        uint8 (H, W, 3).
    """
    pictures, captions = [], []
    for together in zip(*ways.values(), strict=True):
        clip = together[0]
        names = ["truth", *(f"{number}: {text}" for number, text in clip.asked.items())]
        for time, frame in enumerate(clip.frames):
            pictures.append(highlight(frame, _at(clip.truth, time)))
            captions.append(names[time] if time < len(names) else f"frame {time}")
        for name, answer in zip(ways, together, strict=True):
            for time, frame in enumerate(answer.frames):
                pictures.append(highlight(frame, _at(answer.found, time)))
                captions.append(f"{name}: {_frame_iou(answer, time)}")
    columns = len(next(iter(ways.values()))[0].frames)
    return contact_sheet(pictures, captions, columns=columns, cell=STILL_CELL)


def clip_animation(ways: Mapping[str, Sequence[ClipAnswer]]) -> Iterator[np.ndarray]:
    """The same as a moving picture: a row for each clip, the truth on the left; yields uint8 (H, W, 3)."""
    clips = next(iter(ways.values()))
    for time in range(len(clips[0].frames)):
        pictures, captions = [], []
        for together in zip(*ways.values(), strict=True):
            clip = together[0]
            pictures.append(highlight(clip.frames[time], _at(clip.truth, time)))
            captions.append(f"truth: {', '.join(clip.asked.values())}" if clip.asked else "truth")
            for name, answer in zip(ways, together, strict=True):
                pictures.append(highlight(answer.frames[time], _at(answer.found, time)))
                captions.append(f"{name}: mean IoU {np.mean(answer.object_ious):.2f}")
        yield contact_sheet(pictures, captions, columns=1 + len(ways), cell=ANIMATION_CELL)


def _at(masks: dict[int, np.ndarray], time: int) -> dict[int, np.ndarray]:
    return {number: of_object[time] for number, of_object in masks.items()}


def _frame_iou(answer: ClipAnswer, time: int) -> str:
    counted = [ious[time] for ious in answer.frame_ious.values() if not np.isnan(ious[time])]
    return f"{np.mean(counted):.2f}" if counted else "given"
