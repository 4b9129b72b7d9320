"""From a rough mask of an object to the model's own mask of it, in the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..core.masks import binary_mask, nearest_resize
from ..core.picture_input import rgb_array
from ..modeling.precision import half_precision


@torch.no_grad()
def refine_masks(
    model: Any, processor: Any, image: Any, masks: Any, *, threshold: float | None = None
) -> list[np.ndarray]:
    """Asks what rough masks are part of: each is an annotated example in the very picture that is searched.

    A few pixels, a box or a scribble (`processors.drawn_references`) become a mask along the object's border, which is
    then mostly a better reference, in other pictures or through a video; `docs/references.md` has measurements.

    Args:
        model: `UniRefModel` or `UniRefSamModel`, in eval mode.
        processor: its processor.
        image: one picture.
        masks: a rough mask (H, W) of the picture's size for each object: a list, or an array (n, H, W).
        threshold: the score, 0 to 1, that an answer must pass to be believed. Default: none.

    Returns:
        For each object bool (H, W): the model's mask, or the rough one where the model finds nothing, is not sure
        enough, or finds something that does not touch the rough mask.

    Raises:
        TypeError, ValueError: as for the processor's `images` and `reference_masks`.
    """
    picture = rgb_array(image, "image")
    rough = [binary_mask(mask, picture.shape[:2], "masks") for mask in masks]
    if not rough:
        return []
    output = find_by_example(model, processor, picture, picture, rough)
    results: Sequence[dict[str, Any]] = processor.post_process_referring_segmentation(
        output, target_sizes=[picture.shape[:2]] * len(rough), threshold=threshold
    )
    found = [result["segmentation"].cpu().numpy() for result in results]
    return [answer if (answer & mask).any() else mask for answer, mask in zip(found, rough, strict=True)]


@torch.no_grad()
def find_by_example(model: Any, processor: Any, picture: np.ndarray, example: np.ndarray, masks: Any) -> Any:
    """What `model` returns for a picture and one annotated example, once for each of several masks of the example.

    The visual encoder runs once for each of both pictures, uint8 (H, W, 3), and once in all where they are the same.
    There are n bool masks of the example's size; the output has n entries, for post-processing.
    """
    inputs = processor(images=picture, reference_images=example, reference_masks=masks[0]).to(model.device)
    with half_precision(model):
        shown = model.encode_image(inputs["reference_pixel_values"][0], inputs["reference_pixel_mask"][0])
        features = shown if picture is example else model.encode_image(inputs["pixel_values"], inputs["pixel_mask"])
        height, width = (int(side) for side in shown.image_sizes[0])
        marked = torch.zeros(len(masks), *shown.pixel_values.shape[-2:], device=model.device)
        for canvas, mask in zip(marked, masks, strict=True):
            canvas[:height, :width] = torch.from_numpy(nearest_resize(mask, (height, width)).copy())
        references = [model.project_references(model.encode_mask_references(shown, marked))]
        entries = torch.zeros(len(masks), dtype=torch.long, device=model.device)
        fused = model.fuse(features, references, entries)
        output = model.decode(
            features,
            fused,
            references,
            entries,
            None,
            1,
            model.config.full_resolution_masks,
            output_hidden_states=False,
        )
    padded = torch.tensor(features.pixel_values.shape[-2:], device=model.device)
    output["padded_sizes"] = padded.expand(len(masks), -1)
    return output
