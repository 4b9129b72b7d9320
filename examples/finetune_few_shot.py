"""Adapt a model to one thing from a few annotated pictures, and find it in pictures that were held back.

    python examples/finetune_few_shot.py --images cat_00.jpg cat_01.jpg --masks cat_00.png cat_01.png \\
        --held-out cat_02.jpg --held-out-masks cat_02.png --output runs/cat

Trains a LoRA adapter (recipe `few-shot-lora`): of every picture the others are the examples. Then all training pictures
together are the examples for the held-out ones. Prints the IoU there before and after. Masks are pictures in which 0 is
the background and everything else the thing. `--model` may name any UniRef or UniRef-SAM (examples/tiny_sam.py makes a
small one).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finetuning import Scores, add_run_options, fail, read_labels, read_picture, reduced, run_example, save_rows
from transformers_uniref.datasets.schema import make_instance, make_row
from transformers_uniref.metrics.region import iou

Annotated = tuple[str, np.ndarray, np.ndarray]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="two training pictures or more")
    parser.add_argument("--masks", type=Path, nargs="+", required=True, help="their masks, in the same order")
    parser.add_argument("--held-out", type=Path, nargs="+", required=True, help="pictures to measure on")
    parser.add_argument("--held-out-masks", type=Path, nargs="+", required=True, help="their masks")
    add_run_options(parser)
    return parser.parse_args()


def read_annotated(images: list[Path], masks: list[Path]) -> list[Annotated]:
    """Name, picture and mask of each."""
    read = []
    for image, mask in zip(images, masks, strict=True):
        picture = read_picture(image)
        read.append((image.stem, picture, read_labels(mask, (picture.shape[0], picture.shape[1])) > 0))
    return read


@torch.inference_mode()
def measure(model: Any, processor: Any, examples: list[Annotated], questions: list[Annotated]) -> Scores:
    """IoU of the thing in each held-out picture, given the training pictures as examples."""
    scores = {}
    for name, picture, truth in questions:
        inputs = processor(
            images=picture,
            reference_images=[example for _, example, _ in examples],
            reference_masks=[mask for _, _, mask in examples],
            return_tensors="pt",
        )
        found = processor.post_process_referring_segmentation(
            model(**inputs), target_sizes=[truth.shape], threshold=None
        )
        scores[name] = float(iou(np.asarray(found[0]["segmentation"]), truth))
    return scores


def main() -> int:
    arguments = parse_arguments()
    if len(arguments.images) < 2 or len(arguments.images) != len(arguments.masks):
        return fail("--images: give two pictures or more, and as many --masks")
    if len(arguments.held_out) != len(arguments.held_out_masks):
        return fail("--held-out: give as many --held-out-masks")
    examples = read_annotated(arguments.images, arguments.masks)
    questions = read_annotated(arguments.held_out, arguments.held_out_masks)
    rows = []
    for name, *annotated in examples:
        picture, mask = reduced(*annotated)
        thing = make_instance(1, masks={0: mask > 0}, category="it")
        rows.append(make_row(name, [picture], [thing], source="example", split="train"))
    source = save_rows(rows, arguments.output / "data")
    return run_example(
        arguments, "few-shot-lora", [source], lambda model, processor: measure(model, processor, examples, questions)
    )


if __name__ == "__main__":
    sys.exit(main())
