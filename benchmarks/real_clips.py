"""J and F on real clips from the mask of their first frame, beside what repeating that mask scores.

    python benchmarks/real_clips.py ../shared/data/davis
    python benchmarks/real_clips.py ../shared/data/davis --text blackswan="the black swan" --text libby="the dog"

The folder holds sequences as `<sequence>/frames/*.jpg` and `<sequence>/masks/*.png` (0 and anything else, one object).
With `--text` the sequences that are named are also looked for by that sentence, without a mask.
A further folder of a sequence holds what another method predicted and is scored beside the model. The rules are
those of DAVIS: the first and the last frame do not count.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from transformers_uniref.metrics.video import SequenceScores, score_sequence

MEASURES = ("J", "F", "J&F", "J decay")


def read_masks(folder: Path) -> np.ndarray:
    """(T, H, W) bool: whatever is not 0."""
    paths = sorted(folder.glob("*.png"))
    return np.stack([np.asarray(Image.open(path)) > 0 for path in paths])


def read_sequence(folder: Path) -> tuple[list[Image.Image], np.ndarray]:
    """The frames, and the object's masks (T, H, W) bool."""
    frames = [Image.open(path).convert("RGB") for path in sorted((folder / "frames").glob("*.jpg"))]
    masks = read_masks(folder / "masks")
    if len(frames) != len(masks):
        raise SystemExit(f"{folder}: {len(frames)} frames and {len(masks)} masks")
    return frames, masks


def follow(pipe: Any, frames: Sequence[Image.Image], first: np.ndarray, threshold: float | None) -> np.ndarray:
    """The masks (T, H, W) that the model gives for the object of the first frame."""
    options = {} if threshold is None else {"threshold": threshold}
    answers = list(pipe(list(frames), masks=first, stream=True, **options))
    return np.stack([answer["masks"][1] for answer in answers])


def follow_text(pipe: Any, frames: Sequence[Image.Image], text: str, threshold: float | None) -> np.ndarray:
    """The masks (T, H, W) that the model gives for what a sentence names."""
    options = {} if threshold is None else {"threshold": threshold}
    answers = list(pipe(list(frames), text=text, stream=True, **options))
    return np.stack([answer["masks"][1] for answer in answers])


def as_numbers(scores: SequenceScores) -> dict[str, float]:
    return dict(zip(MEASURES, (scores.j.mean, scores.f.mean, scores.jf, scores.j.decay), strict=True))


def show(sequence: str, scores: dict[str, dict[str, float]]) -> None:
    for name, values in scores.items():
        print(f"{sequence:14} {name:16}", "  ".join(f"{key} {value:.4f}" for key, value in values.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="folder or Hub id; the bundled model by default")
    parser.add_argument("--threshold", type=float, help="score below which the object counts as absent")
    parser.add_argument(
        "--text", action="append", default=[], metavar="SEQUENCE=SENTENCE", help="also by a sentence; may be repeated"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    from transformers import pipeline

    import transformers_uniref  # noqa: F401  (makes the task known)

    pipe = pipeline("video-object-segmentation", model=arguments.model)
    sentences = dict(text.split("=", 1) for text in arguments.text)
    listener = pipeline("referring-video-segmentation", model=arguments.model) if sentences else None
    results: dict[str, dict[str, dict[str, float]]] = {}
    for folder in sorted(path for path in arguments.folder.iterdir() if (path / "frames").is_dir()):
        frames, masks = read_sequence(folder)
        predicted = {
            "model": follow(pipe, frames, masks[0], arguments.threshold),
            "first mask kept": np.repeat(masks[:1], len(masks), axis=0),
        }
        if folder.name in sentences:
            predicted["by sentence"] = follow_text(listener, frames, sentences[folder.name], arguments.threshold)
        others = (path for path in folder.iterdir() if path.is_dir() and path.name not in ("frames", "masks"))
        predicted |= {path.name: read_masks(path) for path in sorted(others)}
        results[folder.name] = {name: as_numbers(score_sequence(found, masks)) for name, found in predicted.items()}
        if not arguments.json:
            show(folder.name, results[folder.name])
    methods = [name for name in next(iter(results.values())) if all(name in one for one in results.values())]
    mean = {
        name: {key: float(np.mean([one[name][key] for one in results.values()])) for key in MEASURES}
        for name in methods
    }
    if arguments.json:
        print(json.dumps({"sequences": results, "mean": mean}, indent=2))
    else:
        show("mean", mean)


if __name__ == "__main__":
    main()
