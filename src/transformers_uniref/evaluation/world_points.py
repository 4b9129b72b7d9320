"""Objects of drawn scenes that are pointed at: how well a click, a box, a scribble or several clicks find them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.errors import UsageError
from ..inference.refinement import find_by_example
from ..metrics import iou
from ..modeling.precision import half_precision
from ..processors.pointing import drawn_mask
from ..worlds.drawn.world import World
from ..worlds.pointing import Pointed, draw_pointed, jittered_box, next_click, together
from .definitions import POINTED, TEST_SEED
from .tally import Tally

LEAST_AREA = 20
"""Objects of fewer visible pixels are not asked about."""
CLICKS = 3


def evaluate_points(
    model: Any,
    processor: Any,
    split: str = "test",
    seed: int = TEST_SEED,
    images: int = 100,
    size: int = 128,
    progress: bool = False,
) -> Tally:
    """Points at every object of drawn scenes and measures the masks; what each measure says is in `POINTED`.

    A model without an encoder of what points at objects (`use_point_references`) is given masks that are drawn, as
    examples in the very pictures; the measures of several clicks are not taken then.

    Args:
        model, processor: on its device, in evaluation mode.
        split: "test" or "validation".
        seed: another seed draws other scenes.
        images: how many scenes.
        size: side of the pictures in pixels.
        progress: show a bar on standard error, where it is a terminal.

    Raises:
        ValueError: an argument out of its range.
    """
    from tqdm import tqdm

    if split not in ("test", "validation"):
        raise UsageError(f"`split` must be test or validation, got {split!r}")
    if images < 1:
        raise UsageError(f"`images` must be at least 1, got {images}")
    world, tally = World(split=split, size=size, seed=seed), Tally()
    for index in tqdm(range(images), desc="points", unit="", disable=None if progress else True, leave=False):
        scene = world.image(index)
        masks = [mask for mask in scene["masks"] if mask.sum() >= LEAST_AREA]
        if masks:
            _measure(model, processor, scene["image"], masks, np.random.default_rng([seed, index]), index, tally)
    return tally


def _measure(
    model: Any, processor: Any, picture: np.ndarray, masks: Sequence[np.ndarray], rng: Any, scene: int, tally: Tally
) -> None:
    none = np.zeros((0, *masks[0].shape), dtype=bool)

    def ask(name: str, pointed: Sequence[Pointed]) -> list[np.ndarray]:
        found = segment_pointed(model, processor, picture, pointed)
        for answer, mask in zip(found, masks, strict=True):
            tally.add(name, scene, float(iou(answer, mask)))
        return found

    clicks = [next_click(Pointed(), mask, np.zeros_like(mask)) for mask in masks]
    found = ask("point", clicks)
    ask("point_anywhere", [draw_pointed(mask, none, rng, "anywhere") for mask in masks])
    ask("box", [Pointed(box=jittered_box(mask, rng, 0.0)) for mask in masks])
    ask("box_rough", [Pointed(box=jittered_box(mask, rng)) for mask in masks])
    ask("scribble", [draw_pointed(mask, none, rng, "scribble") for mask in masks])
    for count in range(2, CLICKS + 1) if model.config.use_point_references else ():
        clicks = [next_click(*one) for one in zip(clicks, masks, found, strict=True)]
        found = ask(f"clicks_{count}", clicks)


@torch.inference_mode()
def segment_pointed(model: Any, processor: Any, picture: np.ndarray, pointed: Sequence[Pointed]) -> list[np.ndarray]:
    """The mask, bool (H, W), that a model finds for each object that is pointed at in a picture."""
    height, width = picture.shape[:2]
    if model.config.use_point_references:
        inputs = dict(processor(images=picture).to(model.device))
        given = {name: torch.from_numpy(value).to(model.device) for name, value in together(pointed).items()}
        given["image_indices"] = torch.zeros(len(pointed), dtype=torch.long, device=model.device)
        with half_precision(model):
            output = model(**inputs, **given)
    else:
        sides = np.array([width, height])
        drawn = []
        for one in pointed:
            kind = "input_scribbles" if len(one.points) > 1 else "input_points"
            places = {kind: one.points * sides} if len(one.points) else {}
            if one.box is not None:
                places["input_boxes"] = one.box * np.tile(sides, 2)
            drawn.append(drawn_mask(places, (height, width)))
        output = find_by_example(model, processor, picture, picture, drawn)
    results = processor.post_process_referring_segmentation(
        output, target_sizes=[(height, width)] * len(pointed), threshold=None
    )
    return [result["segmentation"].cpu().numpy() for result in results]


def points_table(tally: Tally) -> str:
    """The measures as text, in percent with their standard errors."""
    from .wording import percent

    lines = [f"{'measure':<28} {'%':>6} {'+-':>5} {'n':>6}"]
    lines += [
        f"{name:<28} {percent(tally.value(name)):>6} {percent(tally.standard_error(name)):>5} {tally.count(name):>6}"
        for name in POINTED
    ]
    return "\n".join(lines)
