"""How far bfloat16 moves the masks of a trained model: their mean IoU with those of single precision.

    python benchmarks/precision.py
    python benchmarks/precision.py --clips 40 --model FOLDER --json

Follows the objects of drawn clips (test split of the procedural world) twice, in float32 and with
`dtype=torch.bfloat16`, each with its own memory, so that differences may grow from frame to frame. Objects are given by
their masks in the first frame, or by sentences. Masks that are empty in both count as 1. On a processor without
instructions for bfloat16, where a frame takes minutes, bfloat16 is left out.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from torch import Tensor


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or Hub id; default: the bundled model")
    parser.add_argument("--clips", type=int, default=20, help="number of clips (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=8, help="frames of a clip (default: %(default)s)")
    parser.add_argument("--fold", action="store_true", help="use the folded fusion also where heads are narrow")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    arguments = parser.parse_args()
    if arguments.clips < 1 or arguments.frames < 2:
        parser.error("--clips must be 1 or more, --frames 2 or more")
    return arguments


def follow(model: Any, processor: Any, clip: dict[str, Any], task: str, dtype: torch.dtype) -> list[dict[int, Tensor]]:
    """The masks of every frame by object."""
    session = processor.init_video_session(list(clip["frames"]), dtype=dtype)
    if task == "masks":
        labels = clip["label_maps"][0]
        processor.add_mask_prompt(session, 0, [int(value) for value in sorted(set(labels.flat) - {0})], labels)
    else:
        for obj_id, sentences in clip["sentences"].items():
            if sentences:
                processor.add_text_prompt(session, int(obj_id), sentences[0])
    return [processor.post_process_video_masks(out, session) for out in model.propagate_in_video_iterator(session)]


def overlaps(single: list[dict[int, Tensor]], half: list[dict[int, Tensor]], first: int) -> list[float]:
    """IoU of every object in every frame from `first` on."""
    found = []
    for ours, theirs in zip(single[first:], half[first:], strict=True):
        for obj_id, mask in ours.items():
            union = int((mask | theirs[obj_id]).sum())
            found.append(int((mask & theirs[obj_id]).sum()) / union if union else 1.0)
    return found


def main() -> None:
    arguments = parse_arguments()
    from transformers import AutoModel, AutoProcessor

    from transformers_uniref.modeling.precision import why_slow

    if reason := why_slow(torch.bfloat16, "cpu"):
        print(json.dumps({"left_out": {"bfloat16": reason}}) if arguments.json else f"bfloat16 is left out: {reason}")
        return

    from transformers_uniref.core.families import DEFAULT_CHECKPOINT
    from transformers_uniref.modeling import fusion
    from transformers_uniref.worlds.drawn.world import World

    if arguments.fold:
        fusion.can_fold = lambda head_dim, projections: True
    name = arguments.model or str(DEFAULT_CHECKPOINT)
    model, processor = AutoModel.from_pretrained(name).eval(), AutoProcessor.from_pretrained(name)
    world = World("test")
    report = {}
    for task, first in (("masks", 1), ("sentences", 0)):
        found: list[float] = []
        for index in range(arguments.clips):
            clip = world.clip(index, arguments.frames)
            single, half = (follow(model, processor, clip, task, kind) for kind in (torch.float32, torch.bfloat16))
            found += overlaps(single, half, first)
        report[task] = {"mean_iou": sum(found) / len(found), "worst_iou": min(found), "masks": len(found)}
    if arguments.json:
        print(json.dumps(report))
        return
    for task, row in report.items():
        agreement = f"mean IoU {row['mean_iou']:.4f} of {row['masks']} masks, {row['worst_iou']:.3f} worst"
        print(f"objects given by {task}: {agreement}")


if __name__ == "__main__":
    main()
