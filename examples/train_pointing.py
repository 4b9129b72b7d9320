"""Teach a model to be pointed at: train its encoder of clicks, boxes and scribbles, and nothing else.

    python examples/train_pointing.py uniref-pp OUTPUT --photographs COCO

A model without that encoder gets one (`use_point_references`). What it shall do is known: fused with a click on an
object, a picture's features shall be what they are when the object's own mask is the reference. So the model teaches
its encoder, no answer has to be found, and each picture is seen by the visual encoder once. Drawn scenes always take
part, photographs where folders are named.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoProcessor

from finetuning import fail
from transformers_uniref.core.model_names import model_location
from transformers_uniref.modeling.fusion import fuse_levels
from transformers_uniref.modeling.references import VisualFeatures
from transformers_uniref.training.config.model import ModelOptions
from transformers_uniref.training.model.initial_model import load_initial_model
from transformers_uniref.worlds import World
from transformers_uniref.worlds.photographs import Photographs
from transformers_uniref.worlds.pointing import draw_pointed, is_one_piece, together

SCENES, OBJECTS = 3, 3
"""Pictures of a step, and objects of a picture."""
LEAST_SHARE = 0.001
"""Objects that cover less of a picture are not pointed at."""
PROBED = 2
"""So many levels, the finest first, are also asked where the object is."""

Stored = tuple[VisualFeatures, np.ndarray]
"""What the visual encoder sees of one picture, and bool masks (n, H, W) of its objects."""


def drawn(count: int, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Drawn pictures with the masks of their objects."""
    world = World("train", size, seed)
    for index in range(count):
        scene = world.image(index)
        yield scene["image"], scene["masks"]


def photographed(folders: Sequence[Path], count: int, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Photographs with the masks of their objects."""
    photographs = Photographs(folders, "train", size, seed)
    for index in range(count):
        scene = photographs.image(index)
        yield scene.image, scene.masks


def see(model: Any, processor: Any, image: np.ndarray, masks: np.ndarray) -> Stored | None:
    """A picture as the visual encoder sees it, in half precision, where it shows an object in one piece."""
    kept = [mask for mask in masks if mask.mean() >= LEAST_SHARE and is_one_piece(mask)]
    if not kept:
        return None
    side = {"shortest_edge": len(image), "longest_edge": len(image)}
    inputs = processor(images=image, size=side, return_tensors="pt")
    with torch.no_grad():
        features = model.encode_image(inputs["pixel_values"], inputs["pixel_mask"])
    half = replace(features, stride4=features.stride4.half(), levels=[level.half() for level in features.levels])
    return half, np.stack(kept)


def batch(scenes: Sequence[Stored]) -> VisualFeatures:
    """The features of pictures of one size, together."""
    seen = [features for features, _ in scenes]
    return replace(
        seen[0],
        stride4=torch.cat([one.stride4.float() for one in seen]),
        levels=[torch.cat(levels).float() for levels in zip(*(one.levels for one in seen), strict=True)],
        masks=[torch.cat(masks) for masks in zip(*(one.masks for one in seen), strict=True)],
        pixel_values=torch.cat([one.pixel_values for one in seen]),
        pixel_mask=torch.cat([one.pixel_mask for one in seen]),
    )


def of_entries(features: VisualFeatures, index: Tensor) -> VisualFeatures:
    """The features once for each entry."""
    return replace(
        features,
        stride4=features.stride4[index],
        levels=[level[index] for level in features.levels],
        masks=[mask[index] for mask in features.masks],
        positions=[place if len(place) == 1 else place[index] for place in features.positions],
        pixel_values=features.pixel_values[index],
        pixel_mask=features.pixel_mask[index],
    )


def ask(scenes: Sequence[Stored], rng: np.random.Generator) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Objects of the pictures: whose each is (N,), its mask (N, H, W), and what points at it."""
    index, masks, pointed = [], [], []
    for position, (_, of_scene) in enumerate(scenes):
        for number in rng.permutation(len(of_scene))[:OBJECTS]:
            index.append(position)
            masks.append(of_scene[number])
            pointed.append(draw_pointed(of_scene[number], np.delete(of_scene, number, axis=0), rng))
    inputs = {name: torch.from_numpy(values) for name, values in together(pointed).items()}
    return torch.tensor(index), torch.from_numpy(np.stack(masks)).float(), inputs


def losses(
    model: Any, probes: nn.ModuleList, features: VisualFeatures, asked: tuple[Tensor, Tensor, dict[str, Tensor]]
) -> tuple[Tensor, Tensor]:
    """How far the fused features are from those of the true masks, in shares of what these change; and of the probes.

    The probes read off the features where the object is, by binary cross entropy and dice.
    """
    index, masks, inputs = asked
    with torch.no_grad():
        taught = model.project_references(model.encode_mask_references(of_entries(features, index), masks))
        wanted = fuse_levels(model.fusion, features, [taught], index)
    reference = model.point_encoder(features, *inputs.values(), index)
    found = fuse_levels(model.fusion, features, [model.project_references(reference)], index)
    distance = torch.zeros(())
    for mine, teachers, plain in zip(found, wanted, features.levels, strict=True):
        change = (teachers - plain[index]).square().mean().clamp(min=1e-6)
        distance = distance + (mine - teachers).square().mean() / change / len(found)
    read = torch.zeros(())
    for probe, level in zip(probes, found, strict=False):
        target = F.adaptive_avg_pool2d(masks[:, None], level.shape[-2:]).flatten(1)
        logits = probe(level).flatten(1)
        covered = logits.sigmoid()
        dice = 1 - (2 * (covered * target).sum(1) + 1) / (covered.sum(1) + target.sum(1) + 1)
        read = read + F.binary_cross_entropy_with_logits(logits, target) + dice.mean()
    return distance, read


def train(model: Any, kinds: Sequence[Sequence[Stored]], steps: int, learning_rate: float, seed: int) -> None:
    """AdamW with a cosine, every step on pictures of one kind."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model.requires_grad_(False)
    model.point_encoder.requires_grad_(True)
    probes = nn.ModuleList([nn.Conv2d(model.config.d_model, 1, 1) for _ in range(PROBED)])
    groups = [
        {"params": list(model.point_encoder.parameters()), "lr": learning_rate},
        {"params": list(probes.parameters()), "lr": 15 * learning_rate},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [group["lr"] for group in groups],
        total_steps=steps,
        pct_start=min(0.5, 20 / steps),
        cycle_momentum=False,
    )
    sums, since, often = torch.zeros(2), 0, max(1, min(50, steps // 2))
    for step in range(1, steps + 1):
        scenes = kinds[step % len(kinds)]
        chosen = [scenes[number] for number in rng.integers(len(scenes), size=SCENES)]
        distance, read = losses(model, probes, batch(chosen), ask(chosen, rng))
        optimizer.zero_grad()
        (distance + 0.3 * read).backward()
        torch.nn.utils.clip_grad_norm_(model.point_encoder.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        sums += torch.stack([distance.detach(), read.detach()])
        since += 1
        if step % often == 0 or step == steps:
            print(f"step {step}: distance {sums[0] / since:.3f}, reading {sums[1] / since:.3f}", flush=True)
            sums, since = torch.zeros(2), 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", help="a UniRef model that takes masks as references: a folder, a Hub id, a bundled name"
    )
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    parser.add_argument(
        "--photographs", type=Path, nargs="+", default=[], help="folders of photographs in COCO's layout"
    )
    parser.add_argument("--images", type=int, default=400, help="drawn scenes (400)")
    parser.add_argument("--pictures", type=int, default=300, help="photographs (300)")
    parser.add_argument(
        "--size", type=int, default=128, help="side of drawn scenes in pixels; photographs have 256 (128)"
    )
    parser.add_argument("--steps", type=int, default=800, help="steps (800)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="highest (2e-3)")
    parser.add_argument("--seed", type=int, default=0, help="of scenes, clicks and start values (0)")
    arguments = parser.parse_args()
    if arguments.output_dir.exists() and any(arguments.output_dir.iterdir()):
        return fail(f"output_dir must not exist yet, or be empty, got {arguments.output_dir}")
    if min(arguments.images, arguments.steps) < 1:
        return fail("--images and --steps must be at least 1")
    location = model_location(arguments.model)
    options = {"architecture": "initial_weights", "initial_weights": str(location), "attention": "sdpa"}
    model = load_initial_model(ModelOptions(**options, model={"use_point_references": True})).float().eval()
    processor = AutoProcessor.from_pretrained(location)
    sources = [drawn(arguments.images, arguments.size, arguments.seed)]
    if arguments.photographs:
        sources.append(photographed(arguments.photographs, arguments.pictures, 256, arguments.seed))
    kinds = [[seen for image, masks in one if (seen := see(model, processor, image, masks))] for one in sources]
    print(f"{sum(map(len, kinds))} pictures", flush=True)
    train(model, kinds, arguments.steps, arguments.learning_rate, arguments.seed)
    model.save_pretrained(arguments.output_dir)
    processor.save_pretrained(arguments.output_dir)
    return 0


if __name__ == "__main__":
    sys.exit(main())
