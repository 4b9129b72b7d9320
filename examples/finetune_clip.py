"""Adapt a model to one clip from a few of its frames, and follow its objects to frames that were held back.

    python examples/finetune_clip.py --frames judo/frames --masks judo/masks --train-frames 00000 00005 \\
        --held-out 00008 00013 --output runs/judo

Trains a LoRA adapter (recipe `clip-lora`) on pairs of the training frames that show the same object, where there are
any, and on pictures of them that are moved by chance. Two things are measured on the held-out frames, before and after:

- follow: the masks of the training frames are given, where each object shows first, and the clip is followed to the
  held-out frames, where these objects are compared with the masks there. Nothing where no object is annotated in both.
- return: every object of a held-out frame is followed for five frames; what was found of it there is followed back, and
  compared with where it began. No other frame has to be annotated for that.

Masks are label maps (0: background), named like their frames.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finetuning import Scores, add_run_options, fail, read_labels, read_picture, reduced, run_example, save_rows
from transformers_uniref.datasets.schema import make_instance, make_row
from transformers_uniref.metrics.region import iou

Frames = dict[str, np.ndarray]
AWAY = 5
"""Frames for which an object is followed before it is followed back."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True, help="folder of the clip's frames, in order of names")
    parser.add_argument("--masks", type=Path, required=True, help="folder of label maps (PNG) of some of the frames")
    parser.add_argument("--train-frames", nargs="+", required=True, help="names of annotated frames to train on")
    parser.add_argument("--held-out", nargs="+", required=True, help="names of annotated frames to measure on")
    add_run_options(parser)
    return parser.parse_args()


def numbers_in(labels: np.ndarray) -> list[int]:
    """The objects of a label map."""
    return [int(number) for number in np.unique(labels) if number]


def clip_row(names: list[str], frames: Frames, labels: Frames) -> dict[str, Any]:
    """The named frames as one clip of the schema."""
    objects = sorted({number for name in names for number in numbers_in(labels[name])})
    instances = [
        make_instance(number, masks={time: labels[name] == number for time, name in enumerate(names)})
        for number in objects
    ]
    return make_row("+".join(names), [frames[name] for name in names], instances, source="example", split="train")


def follow(model: Any, processor: Any, frames: Frames, prompts: Frames) -> Iterator[tuple[str, dict[int, np.ndarray]]]:
    """The name of each frame and the masks of all objects there; each is given where it first shows in `prompts`."""
    session = processor.init_video_session(video=list(frames.values()), vos_score_threshold=None)
    names = list(frames)
    known: set[int] = set()
    for name, labels in prompts.items():
        new = [number for number in numbers_in(labels) if number not in known]
        if new:
            masks = [labels == number for number in new]
            processor.add_mask_prompt(session, frame_idx=names.index(name), obj_ids=new, masks=masks)
            known.update(new)
    for output in model.propagate_in_video_iterator(session):
        found = processor.post_process_video_masks(output, session)
        yield names[output.frame_idx], {number: np.asarray(mask) for number, mask in found.items()}


def propagate(model: Any, processor: Any, frames: Frames, prompts: Frames, truth: Frames) -> Scores:
    """IoU of every prompted object in the frames of `truth` in which it shows."""
    known = {number for labels in prompts.values() for number in numbers_in(labels)}
    scores = {}
    for name, found in follow(model, processor, frames, prompts):
        if name in truth:
            nothing = np.zeros(truth[name].shape, dtype=bool)
            for number in sorted(known & set(numbers_in(truth[name]))):
                scores[f"{name} object {number}"] = float(iou(found.get(number, nothing), truth[name] == number))
    return scores


def there_and_back(model: Any, processor: Any, frames: Frames, name: str, labels: np.ndarray) -> Scores:
    """IoU of every object of a frame with what is found of it there, after following it away and back again.

    What was found at the turning point is all that the way back knows: errors of both ways add up.
    """
    names = list(frames)
    start = names.index(name)
    way = names[start : start + AWAY + 1]
    if len(way) <= AWAY:  # near the end of the clip: backwards
        way = names[max(start - AWAY, 0) : start + 1][::-1]
    *_, (turning_point, found) = follow(model, processor, {step: frames[step] for step in way}, {name: labels})
    reached = np.zeros_like(labels)
    for number, mask in found.items():
        reached[mask] = number
    lost = {f"{name} object {number}": 0.0 for number in numbers_in(labels)}
    if not reached.any():
        return lost
    back = {step: frames[step] for step in reversed(way)}
    return lost | propagate(model, processor, back, {turning_point: reached}, {name: labels})


@torch.inference_mode()
def measure(model: Any, processor: Any, frames: Frames, prompts: Frames, truth: Frames) -> Scores:
    """All scores, and their mean."""
    scores = {}
    shared = {number for labels in prompts.values() for number in numbers_in(labels)}
    if shared & {number for labels in truth.values() for number in numbers_in(labels)}:
        scores |= {f"follow {key}": v for key, v in propagate(model, processor, frames, prompts, truth).items()}
    for name, labels in truth.items():
        returned = there_and_back(model, processor, frames, name, labels)
        scores |= {f"return {key}": value for key, value in returned.items()}
    return {**scores, "mean": float(np.mean(list(scores.values())))}


def main() -> int:
    arguments = parse_arguments()
    files = sorted(file for file in arguments.frames.iterdir() if file.suffix.lower() in (".jpg", ".jpeg", ".png"))
    frames = {file.stem: read_picture(file) for file in files}
    annotated = [*arguments.train_frames, *arguments.held_out]
    missing = [name for name in annotated if name not in frames or not (arguments.masks / f"{name}.png").is_file()]
    if missing or set(arguments.train_frames) & set(arguments.held_out):
        return fail(
            f"--train-frames, --held-out: without frame or mask: {', '.join(missing) or 'none'}; no name in both"
        )
    labels = {
        name: read_labels(arguments.masks / f"{name}.png", (frames[name].shape[0], frames[name].shape[1]))
        for name in annotated
    }
    if not any(numbers_in(labels[name]) for name in arguments.held_out):
        return fail("--held-out: no object in the masks of these frames")
    trained = sorted(arguments.train_frames)
    prompts = {name: labels[name] for name in trained}
    truth = {name: labels[name] for name in arguments.held_out}
    stored = {name: reduced(frames[name], labels[name]) for name in trained}
    small_frames = {name: picture for name, (picture, _) in stored.items()}
    small_labels = {name: objects for name, (_, objects) in stored.items()}
    clip = [clip_row(trained, small_frames, small_labels)]
    stills = [clip_row([name], small_frames, small_labels) for name in trained]
    data = arguments.output / "data"
    sources = [save_rows(clip, data / "clip"), save_rows(stills, data / "stills")]
    shown = [number for name in trained for number in numbers_in(labels[name])]
    if len(set(shown)) == len(shown):  # no object is annotated twice: there are no pairs
        arguments.override.append("datasets.0.weight=0")
    return run_example(
        arguments, "clip-lora", sources, lambda model, processor: measure(model, processor, frames, prompts, truth)
    )


if __name__ == "__main__":
    sys.exit(main())
