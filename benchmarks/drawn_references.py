"""How good points, boxes and scribbles are as references, beside true masks: the tables of `docs/references.md`.

    python benchmarks/drawn_references.py --scenes 60 --clips 12 --processes 2

Mean IoU on the drawn world with the bundled model. A reference is drawn from an object's true mask as a careful user
would draw it: a point in the middle of its widest part, its tight box, a scribble of four points along its longer axis.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from transformers_uniref import UniRefModel, UniRefProcessor
from transformers_uniref.core.model_names import model_location
from transformers_uniref.datasets.schema import tight_box
from transformers_uniref.inference.refinement import find_by_example, refine_masks
from transformers_uniref.processors.drawn_references import box_mask, point_mask, scribble_mask
from transformers_uniref.worlds import World

FRAMES = 5
WORLD = World("test")


@cache
def loaded() -> tuple[UniRefModel, UniRefProcessor]:
    torch.set_num_threads(1)
    folder = model_location("uniref-pp")
    return UniRefModel.from_pretrained(folder).eval(), UniRefProcessor.from_pretrained(folder)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 1.0


def widest(mask: np.ndarray) -> tuple[float, float]:
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return column + 0.5, row + 0.5


def along(mask: np.ndarray) -> np.ndarray:
    core = ndimage.binary_erosion(mask, iterations=2)
    rows, columns = np.nonzero(core if core.any() else mask)
    points = np.stack([columns, rows], 1) + 0.5
    centred = points - points.mean(0)
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    order = np.argsort(centred @ axis)
    return points[order[np.linspace(0, len(order) - 1, 4).astype(int)]]


def drawn(mask: np.ndarray, radii: bool = False) -> dict[str, np.ndarray]:
    """References by name; `radii` adds points with other discs than the default."""
    size, box = (mask.shape[0], mask.shape[1]), tight_box(mask)
    made = {
        "true mask": mask,
        "box, ellipse": box_mask(box, size),
        "box, rectangle": box_mask(box, size, "rectangle"),
        "scribble": scribble_mask(along(mask), size),
        "point": point_mask(widest(mask), size),
    }
    if radii:
        for share in (0.03, 0.05, 0.1):
            made[f"point, radius {share:.0%}"] = point_mask(widest(mask), size, share * min(size))
    return made


@torch.inference_mode()
def find(image: np.ndarray, example: np.ndarray, masks: list[np.ndarray]) -> list[np.ndarray]:
    model, processor = loaded()
    output = find_by_example(model, processor, image, example, masks)
    results = processor.post_process_referring_segmentation(output, target_sizes=[image.shape[:2]] * len(masks))
    return [result["segmentation"].numpy() for result in results]


def picture_case(index: int) -> Mapping[str, dict[str, float]]:
    """One example: the reference's own IoU, after refinement, and what both find in another picture."""
    scene = WORLD.few_shot(index)
    example, truth = scene["reference_images"][0], scene["reference_masks"][0]
    rough = drawn(truth, radii=True)
    refined = refine_masks(*loaded(), example, list(rough.values()))
    found = find(scene["image"], example, [*rough.values(), *refined])
    return {
        name: {
            "drawn": iou(mask, truth),
            "refined": iou(refined[place], truth),
            "found": iou(found[place], scene["mask"]),
            "found, refined": iou(found[len(rough) + place], scene["mask"]),
        }
        for place, (name, mask) in enumerate(rough.items())
    }


@torch.inference_mode()
def clip_case(index: int) -> Mapping[str, dict[str, float]]:
    """One clip: the mean J of its objects in the frames after the first, as drawn and refined first."""
    model, processor = loaded()
    clip = WORLD.clip(index, frames=FRAMES)
    frames, labels = list(clip["frames"]), clip["label_maps"]
    ids = [int(number) for number in np.unique(labels[0]) if number]
    references = [drawn(labels[0] == number) for number in ids]
    case = {}
    for name in references[0]:
        rough = [reference[name] for reference in references]
        case[name] = {}
        for how, masks in (("J", rough), ("J, refined", refine_masks(model, processor, frames[0], rough))):
            session = processor.init_video_session(video=frames)
            processor.add_mask_prompt(session, 0, ids, masks)
            scores = []
            for frame, output in enumerate(model.propagate_in_video_iterator(session)):
                found = processor.post_process_video_masks(output, session)
                scores += [iou(found[number].numpy(), labels[frame] == number) for number in ids if frame]
            case[name][how] = float(np.mean(scores))
    return case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        cases: list[Any] = [pool.submit(picture_case, index) for index in range(options.scenes)]
        cases += [pool.submit(clip_case, index) for index in range(options.clips)]
        for done, case in enumerate(cases, start=1):
            print(f"{done} of {len(cases)}: {json.dumps(case.result())}", file=sys.stderr, flush=True)
            for name, scores in case.result().items():
                for measure, score in scores.items():
                    table[name][measure].append(score)
    means = {name: {key: round(float(np.mean(all_)), 3) for key, all_ in row.items()} for name, row in table.items()}
    print(json.dumps({"scenes": options.scenes, "clips": options.clips, "mean IoU": means}, indent=1))


if __name__ == "__main__":
    main()
