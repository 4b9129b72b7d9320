"""The boundary measure F against a plain implementation of its published formula: seconds a mask, and the ratio.

    python benchmarks/boundary.py

The plain implementation draws both outlines, widens each with a disk by binary dilation, and counts pixels, as the
formula reads (SciPy, no OpenCV). `--reference distance` takes a distance transform instead of the dilation. Masks are
drawn blobs of 480 x 854 pixels, or with `--masks` and `--predictions` real ones. Both run in one process and alternate;
times are of that process, so that other work on the machine changes the ratio little. Values must be equal.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from transformers_uniref.metrics import boundary_measure

Pair = tuple[np.ndarray, np.ndarray]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="pairs of masks (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest of these counts (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 854), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--reference", choices=["dilation", "distance"], default="dilation")
    parser.add_argument("--masks", type=Path, help="folder of true masks (PNG, not 0 = object)")
    parser.add_argument("--predictions", type=Path, help="folder of predicted masks with the same names")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    arguments = parser.parse_args()
    if arguments.count < 1 or arguments.repeats < 1 or min(arguments.size) < 16:
        parser.error("--count and --repeats must be 1 or more, --size 16 or more")
    if (arguments.masks is None) != (arguments.predictions is None):
        parser.error("--masks and --predictions go together")
    return arguments


def plain_outline(mask: np.ndarray) -> np.ndarray:
    """Where the pixel to the right, below, or below to the right differs; beyond the edge nothing differs."""
    height, width = mask.shape
    right, below, diagonal = mask.copy(), mask.copy(), mask.copy()
    right[:, : width - 1] = mask[:, 1:]
    below[: height - 1] = mask[1:]
    diagonal[: height - 1, : width - 1] = mask[1:, 1:]
    diagonal[height - 1, : width - 1] = mask[height - 1, 1:]
    diagonal[: height - 1, width - 1] = mask[1:, width - 1]
    return (mask ^ right) | (mask ^ below) | (mask ^ diagonal)


def widen_by_dilation(outline: np.ndarray, radius: int) -> np.ndarray:
    offsets = np.arange(-radius, radius + 1)
    return ndimage.binary_dilation(outline, offsets[:, None] ** 2 + offsets**2 <= radius**2)


def widen_by_distance(outline: np.ndarray, radius: int) -> np.ndarray:
    return ndimage.distance_transform_edt(~outline) <= radius if outline.any() else outline


def plain_boundary_measure(
    predicted: np.ndarray, target: np.ndarray, widen: Callable[[np.ndarray, int], np.ndarray]
) -> float:
    """F, step by step."""
    radius = math.ceil(0.008 * math.hypot(*target.shape))
    found, wanted = plain_outline(predicted), plain_outline(target)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    precision = float((found & widen(wanted, radius)).sum() / found.sum())
    recall = float((wanted & widen(found, radius)).sum() / wanted.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def drawn_pairs(count: int, size: tuple[int, int]) -> Iterator[Pair]:
    """Blobs of all sizes; the prediction is moved and has another outline."""
    random = np.random.default_rng(0)
    for _ in range(count):
        field = ndimage.gaussian_filter(random.standard_normal(size), min(size) / 16)
        other = field + 0.2 * ndimage.gaussian_filter(random.standard_normal(size), min(size) / 40) * field.std()
        share = random.uniform(0.6, 0.97)
        moved = np.roll(other, tuple(random.integers(-6, 7, 2)), (0, 1))
        yield moved > np.quantile(moved, share), field > np.quantile(field, share)


def read_pairs(masks: Path, predictions: Path, count: int) -> Iterator[Pair]:
    for file in sorted(masks.glob("*.png"))[:count]:
        yield np.asarray(Image.open(predictions / file.name)) > 0, np.asarray(Image.open(file)) > 0


def main() -> None:
    arguments = parse_arguments()
    widen = widen_by_dilation if arguments.reference == "dilation" else widen_by_distance
    pairs = list(
        drawn_pairs(arguments.count, tuple(arguments.size))
        if arguments.masks is None
        else read_pairs(arguments.masks, arguments.predictions, arguments.count)
    )
    seconds = {"plain": math.inf, "ours": math.inf}
    difference = 0.0
    for _ in range(arguments.repeats):
        spent = dict.fromkeys(seconds, 0.0)
        for pair in pairs:
            values = {}
            for name in seconds:
                started = time.process_time()
                values[name] = plain_boundary_measure(*pair, widen) if name == "plain" else boundary_measure(*pair)
                spent[name] += time.process_time() - started
            difference = max(difference, abs(values["plain"] - values["ours"]))
        seconds = {name: min(seconds[name], spent[name] / len(pairs)) for name in seconds}
    report = {
        "reference": arguments.reference,
        "size": list(pairs[0][0].shape),
        "pairs": len(pairs),
        "seconds": seconds,
        "ratio": seconds["plain"] / seconds["ours"],
        "largest_difference": difference,
    }
    if arguments.json:
        print(json.dumps(report))
        return
    print(f"{len(pairs)} pairs of {report['size'][0]} x {report['size'][1]} pixels, plain: {arguments.reference}")
    for name, value in seconds.items():
        print(f"{name:<6} {1000 * value:8.2f} ms a pair")
    print(f"ratio  {report['ratio']:8.1f}   largest difference {difference:.1e}")


if __name__ == "__main__":
    main()
