"""J and F on real clips from the mask of their first frame, beside what repeating that mask scores.

    python benchmarks/real_clips.py ../shared/data/davis

The folder holds sequences as `<sequence>/frames/*.jpg` and `<sequence>/masks/*.png` (0 and anything else, one object).
The rules are those of DAVIS: the first and the last frame do not count.
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


def read_sequence(folder: Path) -> tuple[list[Image.Image], np.ndarray]:
    """The frames, and the object's masks (T, H, W) bool."""
    frames = [Image.open(path).convert("RGB") for path in sorted((folder / "frames").glob("*.jpg"))]
    masks = np.stack(
        [np.asarray(Image.open(path).convert("L")) > 0 for path in sorted((folder / "masks").glob("*.png"))]
    )
    if len(frames) != len(masks):
        raise SystemExit(f"{folder}: {len(frames)} frames and {len(masks)} masks")
    return frames, masks


def follow(pipe: Any, frames: Sequence[Image.Image], first: np.ndarray, threshold: float | None) -> np.ndarray:
    """The masks (T, H, W) that the model gives for the object of the first frame."""
    options = {} if threshold is None else {"threshold": threshold}
    answers = list(pipe(list(frames), masks=first, stream=True, **options))
    return np.stack([answer["masks"][1] for answer in answers])


def as_numbers(scores: SequenceScores) -> dict[str, float]:
    return {"J": scores.j.mean, "F": scores.f.mean, "J&F": scores.jf, "J decay": scores.j.decay}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="folder or Hub id; the bundled model by default")
    parser.add_argument("--threshold", type=float, help="score below which the object counts as absent")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    from transformers import pipeline

    import transformers_uniref  # noqa: F401  (makes the task known)

    pipe = pipeline("video-object-segmentation", model=arguments.model)
    results: dict[str, dict[str, dict[str, float]]] = {}
    for folder in sorted(path for path in arguments.folder.iterdir() if (path / "frames").is_dir()):
        frames, masks = read_sequence(folder)
        found = follow(pipe, frames, masks[0], arguments.threshold)
        kept = np.repeat(masks[:1], len(masks), axis=0)
        results[folder.name] = {
            "model": as_numbers(score_sequence(found, masks)),
            "first mask kept": as_numbers(score_sequence(kept, masks)),
        }
        if not arguments.json:
            for name, values in results[folder.name].items():
                print(f"{folder.name:14} {name:16}", "  ".join(f"{key} {value:.4f}" for key, value in values.items()))
    mean = {
        name: {
            key: float(np.mean([one[name][key] for one in results.values()])) for key in ("J", "F", "J&F", "J decay")
        }
        for name in ("model", "first mask kept")
    }
    if arguments.json:
        print(json.dumps({"sequences": results, "mean": mean}, indent=2))
    else:
        for name, values in mean.items():
            print(f"{'mean':14} {name:16}", "  ".join(f"{key} {value:.4f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
