"""UniFusion as a plug-in of Segment Anything, in miniature: an adapter that lets a SAM follow objects by their masks.

    python examples/finetune_sam.py --output runs/sam

1. A SAM of random weights (examples/tiny_sam.py) learns on drawn scenes what SAM is for: the mask of what is under a
   point.
2. `uniref convert --sam` puts reference encoders and UniFusion around it, which change nothing yet.
3. A LoRA adapter (recipe `clip-lora`) is trained on drawn clips: image and prompt encoder stay as they are but for LoRA
   on `attn.qkv`; fusion, mask encoder and mask decoder are trained.

Prints the IoU in clips that were held back, before and after step 3: the first frame's mask of each object is given,
and it is looked for in the last frame. With a SAM that was trained already leave out step 1: `--model FOLDER`, written
by `uniref convert --sam`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from finetuning import Scores, add_run_options, fail, run_example
from tiny_sam import SIDE, put_references_around, tiny_sam
from transformers_uniref.metrics.region import iou
from transformers_uniref.worlds import World

IMAGE_MEAN, IMAGE_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of SAM, for pixels of 0 to 255."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point-steps", type=int, default=600, help="steps of part 1 (default: %(default)s)")
    parser.add_argument("--clips", type=int, default=24, help="held-out clips (default: %(default)s)")
    add_run_options(parser)
    parser.set_defaults(model="", steps=600)
    return parser.parse_args()


def points_and_masks(world: World, first: int, pictures: int, points: int, rng: np.random.Generator) -> Any:
    """Pixels (B, 3, H, W), a point on `points` of the objects (B, P, 1, 2) as x, y, and their masks (B, P, H, W)."""
    pixels, places, masks = [], [], []
    for index in range(first, first + pictures):
        scene = world.image(index)
        chosen = rng.choice(len(scene["masks"]), points)
        at = []
        for mask in scene["masks"][chosen]:
            y, x = np.argwhere(mask)[rng.integers(mask.sum())]
            at.append([[float(x), float(y)]])
        pixels.append((scene["image"] - np.array(IMAGE_MEAN)) / np.array(IMAGE_STD))
        places.append(at)
        masks.append(scene["masks"][chosen])
    return (
        torch.tensor(np.stack(pixels), dtype=torch.float32).permute(0, 3, 1, 2),
        torch.tensor(places),
        torch.tensor(np.stack(masks), dtype=torch.float32),
    )


def learn_points(sam: Any, steps: int, pictures: int = 8, points: int = 3) -> None:
    """Part 1: mask loss (cross entropy and dice, at the decoder's resolution) of one mask a point."""
    rng, world = np.random.default_rng(0), World("train", size=SIDE)
    optimizer = torch.optim.AdamW(sam.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.1)
    sam.train()
    for step in range(steps):
        pixels, places, masks = points_and_masks(world, step * pictures, pictures, points, rng)
        output = sam(pixel_values=pixels, input_points=places, multimask_output=False)
        logits = output.pred_masks[:, :, 0]
        truth = F.interpolate(masks, logits.shape[-2:], mode="area")
        chance = logits.sigmoid()
        dice = 1 - (2 * (chance * truth).sum((2, 3)) + 1) / (chance.sum((2, 3)) + truth.sum((2, 3)) + 1)
        found = logits.detach() > 0
        overlap = (found & (truth > 0.5)).sum((2, 3)) / (found | (truth > 0.5)).sum((2, 3)).clamp(min=1)
        score = F.mse_loss(output.iou_scores[:, :, 0], overlap)  # the decoder also says how good its mask is
        loss = 5 * F.binary_cross_entropy_with_logits(logits, truth) + dice.mean() + score
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(sam.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            print(f"points {step + 1}/{steps}: IoU {overlap.mean():.3f}", file=sys.stderr)
    sam.eval()


@torch.inference_mode()
def measure(model: Any, processor: Any, clips: int) -> Scores:
    """Mean IoU over the objects of the first frame that show in the last, in clips of the test split."""
    world = World("test", size=SIDE)
    found: list[float] = []
    repeated: list[float] = []
    for index in range(clips):
        clip = world.clip(index, frames=4)
        first, last = clip["label_maps"][0], clip["label_maps"][-1]
        for number in sorted(set(np.unique(first)) & set(np.unique(last)) - {0}):
            example = {"reference_images": [clip["frames"][0]], "reference_masks": [first == number]}
            inputs = processor(images=clip["frames"][-1], **example)
            [result] = processor.post_process_referring_segmentation(
                model(**inputs), target_sizes=[last.shape], threshold=None
            )
            found.append(float(iou(np.asarray(result["segmentation"]), last == number)))
            repeated.append(float(iou(first == number, last == number)))
    return {f"{len(found)} objects": float(np.mean(found)), "first mask repeated": float(np.mean(repeated))}


def main() -> int:
    arguments = parse_arguments()
    if arguments.output.exists() and any(arguments.output.iterdir()):
        return fail(f"--output: {arguments.output} is not empty")
    if not arguments.model:
        sam = tiny_sam()
        learn_points(sam, arguments.point_steps)
        arguments.model = str(arguments.output / "base")
        code = put_references_around(sam, Path(arguments.model))
        if code:
            return code
    arguments.override[:0] = [
        "datasets.0.samples=400",
        "datasets.0.batch_size=6",
        "datasets.0.frame_gap=4",
        "datasets.1.samples=400",
        "datasets.1.batch_size=6",
    ]
    sources = [Path("world:clips"), Path("world:stills")]
    return run_example(
        arguments, "clip-lora", sources, lambda model, processor: measure(model, processor, arguments.clips)
    )


if __name__ == "__main__":
    sys.exit(main())
