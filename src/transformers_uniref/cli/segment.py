"""`uniref segment`: what a sentence or annotated examples refer to, in one picture."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .loading import add_model_arguments, add_output_arguments

HELP = "segment what a sentence, or example pictures with masks, refer to in a picture"

OVERLAY, MASK = "overlay.png", "mask.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's options."""
    parser.add_argument("image", type=Path, metavar="IMAGE", help="the picture")
    parser.add_argument(
        "--text",
        action="append",
        metavar="SENTENCE",
        help="what to look for; repeated, each sentence is an object of its own",
    )
    parser.add_argument(
        "--reference-image",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="an example picture; repeated, several examples of the same thing; together with one --text, both count",
    )
    parser.add_argument(
        "--reference-mask",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="the mask of the object in the example picture (PNG of its size, 0 and one other value), one for each",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="SCORE",
        help="objects that score this or less, 0 to 1, count as absent and get an empty mask (default: none does)",
    )
    add_model_arguments(parser)
    add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the overlay and the label map; with `--json` what was found goes to standard output."""
    check_arguments(arguments)
    from PIL import Image

    from ..media.atomic import filling
    from ..media.overlays import overlay_masks
    from ..media.palette import save_label_map
    from ..processors.inputs import rgb_array
    from .loading import load_model_and_processor, output_folder

    image = rgb_array(arguments.image, "IMAGE")
    folder = output_folder(arguments.output, arguments.image.stem)
    with filling(folder, [OVERLAY, MASK], overwrite=arguments.overwrite) as staged:
        model, processor = load_model_and_processor(
            arguments.model, arguments.device, arguments.dtype, arguments.compile
        )
        found = segment(arguments, image, model, processor)
        masks = {number: result["segmentation"].cpu().numpy() for number, result in enumerate(found, start=1)}
        Image.fromarray(overlay_masks(image, masks)).save(staged / OVERLAY)
        save_label_map(staged / MASK, label_map(found))
    results = [
        {
            "id": number,
            "text": arguments.text[number - 1] if arguments.text else None,
            "score": round(result["score"], 6),
            "box": [round(side, 2) for side in result["box"].tolist()],
            "pixels": int(masks[number].sum()),
        }
        for number, result in enumerate(found, start=1)
    ]
    for result in results:
        share = 100 * result["pixels"] / masks[result["id"]].size
        named = f" ({result['text']})" if result["text"] else ""
        print(
            f"object {result['id']}{named}: score {result['score']:.3f}, {share:.1f} % of the picture", file=sys.stderr
        )
    print(f"written: {folder / OVERLAY}, {folder / MASK}", file=sys.stderr)
    if arguments.json:
        summary = {"image": str(arguments.image), "height": image.shape[0], "width": image.shape[1], "objects": results}
        print(json.dumps({**summary, "overlay": str(folder / OVERLAY), "mask": str(folder / MASK)}))
    return 0


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuses what contradicts itself, before anything is loaded.

    Raises:
        UserError: no reference at all; unequal numbers of examples and masks; several sentences with examples.
    """
    from .errors import UserError

    examples, masks = len(arguments.reference_image), len(arguments.reference_mask)
    if not arguments.text and not examples and not masks:
        raise UserError("say what to look for: --text, or --reference-image with --reference-mask")
    if examples != masks:
        raise UserError(f"--reference-image and --reference-mask must come in pairs, got {examples} and {masks}")
    if examples and arguments.text and len(arguments.text) > 1:
        raise UserError(f"with --reference-image, --text may be given once, got {len(arguments.text)} sentences")


def segment(arguments: argparse.Namespace, image: Any, model: Any, processor: Any) -> list[dict[str, Any]]:
    """One result for each sentence, or one for all examples; see `post_process_referring_segmentation`."""
    import torch

    from ..media.palette import load_label_map
    from ..processors.inputs import rgb_array
    from .loading import precision

    references: dict[str, Any] = {}
    if arguments.reference_image:
        references["reference_images"] = [rgb_array(file, "--reference-image") for file in arguments.reference_image]
        references["reference_masks"] = [load_label_map(file, "--reference-mask") for file in arguments.reference_mask]
    inputs = processor(
        images=image, text=arguments.text, **references, return_tensors="pt", return_original_sizes=True
    ).to(model.device)
    sizes = inputs.pop("original_sizes")
    with torch.inference_mode(), precision(model):
        outputs = model(**inputs)
    return processor.post_process_referring_segmentation(outputs, target_sizes=sizes, threshold=arguments.threshold)


def label_map(found: list[dict[str, Any]]) -> Any:
    """Ids 1.. by the order of the results; where masks overlap, the better score wins."""
    import numpy as np

    labels = np.zeros(tuple(found[0]["segmentation"].shape), dtype=np.uint8)
    for number, result in sorted(enumerate(found, start=1), key=lambda item: item[1]["score"]):
        labels[result["segmentation"].cpu().numpy()] = number
    return labels
