"""The files that `uniref segment` writes about a picture, and what it says about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.json_writing import to_json

if TYPE_CHECKING:
    import numpy as np

    from ...inference.results import SegmentedObject

FILES = {
    "overlay": "overlay.png",
    "palette": "mask.png",
    "binary": "objects",
    "cutout": "cutouts",
    "rle": "masks.json",
}
"""The file, or the folder of files, of each format."""

MOST_OBJECTS = 255
"""A label map has as many ids."""


def write_results(
    folder: Path,
    formats: Sequence[str],
    label: str,
    image: np.ndarray,
    found: Sequence[SegmentedObject],
    *,
    legend: bool = True,
    whole_cutouts: bool = False,
) -> None:
    """Writes what was found in a picture into an empty folder.

    Args:
        folder: where to.
        formats: keys of `FILES`: the picture with the masks over it and a legend below; a label map with the DAVIS
            palette, object 1, 2, ... in the order of `found`; for each object a grey PNG of 0 and 255; each object that
            was found alone, on a transparent ground; one JSON file with COCO's run lengths.
        label: what the picture is called in the JSON file.
        image: uint8 (H, W, 3).
        found: the objects.
        legend: whether the overlay has one.
        whole_cutouts: whether objects that are cut out keep their place in the whole picture.
    """
    from PIL import Image

    from ...core.palette import save_label_map
    from ...inference.results import label_map
    from ...media.cutouts import cut_out
    from ...media.legends import with_legend
    from ...media.overlays import overlay_masks

    if "overlay" in formats:
        masks = {number: item.mask for number, item in enumerate(found, start=1)}
        drawn = overlay_masks(image, masks)
        shown = with_legend(drawn, legend_of(found)) if legend else drawn
        Image.fromarray(shown).save(folder / FILES["overlay"])
    if "palette" in formats:
        save_label_map(folder / FILES["palette"], label_map(found))
    if "binary" in formats:
        (folder / FILES["binary"]).mkdir()
        for number, item in enumerate(found, start=1):
            Image.fromarray(item.mask.astype("uint8") * 255).save(folder / binary_name(number))
    if "cutout" in formats:
        (folder / FILES["cutout"]).mkdir()
        for number, item in enumerate(found, start=1):
            if item.is_found:
                alone = cut_out(image, item.mask, whole=whole_cutouts)
                Image.fromarray(alone).save(folder / cutout_name(number))
    if "rle" in formats:
        (folder / FILES["rle"]).write_text(to_json(coco_masks(label, image, found)) + "\n", encoding="utf-8")


def binary_name(number: int) -> str:
    """The file of an object's binary mask."""
    return f"{FILES['binary']}/{number}.png"


def cutout_name(number: int) -> str:
    """The file of an object that is cut out."""
    return f"{FILES['cutout']}/{number}.png"


def legend_of(found: Sequence[SegmentedObject]) -> dict[int, str]:
    """What the legend says about each object; the score comes first, since long sentences are cut."""
    entries = {}
    for number, item in enumerate(found, start=1):
        lost = "" if item.is_found else ", not found"
        entries[number] = f"{number} ({item.score:.2f}{lost})" + (f": {item.label}" if item.label else "")
    return entries


def coco_masks(label: str, image: np.ndarray, found: Sequence[SegmentedObject]) -> dict[str, Any]:
    """The masks as COCO's results have them: `segmentation` is what `pycocotools.mask.decode` reads.

    `bbox` is x, y, width, height around the mask in pixels, zeros where it is empty; `area` its pixels.
    """
    from ...core.mask_boxes import coco_box

    return {
        "image": label,
        "height": image.shape[0],
        "width": image.shape[1],
        "objects": [
            {
                "id": number,
                "text": item.label,
                "score": round(item.score, 6),
                "bbox": coco_box(item.mask),
                "area": item.area,
                "segmentation": item.run_length_code(),
                "passed": item.passed,
            }
            for number, item in enumerate(found, start=1)
        ],
    }


def summary(
    label: str, image: np.ndarray, found: Sequence[SegmentedObject], folder: Path, formats: Sequence[str]
) -> dict[str, Any]:
    """What `--json` prints about a picture."""
    objects = [
        {
            "id": number,
            "text": item.label,
            "score": round(item.score, 6),
            "box": [round(side, 2) for side in item.corners],
            "pixels": item.area,
            "passed": item.passed,
            "unknown_words": list(item.unknown_words),
        }
        for number, item in enumerate(found, start=1)
    ]
    files: dict[str, Any] = {}
    if "overlay" in formats:
        files["overlay"] = str(folder / FILES["overlay"])
    if "palette" in formats:
        files["mask"] = str(folder / FILES["palette"])
    if "binary" in formats:
        files["binary"] = [str(folder / binary_name(number)) for number in range(1, len(found) + 1)]
    if "cutout" in formats:
        files["cutout"] = [
            str(folder / cutout_name(number)) if item.is_found else None for number, item in enumerate(found, start=1)
        ]
    if "rle" in formats:
        files["rle"] = str(folder / FILES["rle"])
    about = {"image": label, "height": image.shape[0], "width": image.shape[1], "threshold": found[0].threshold}
    return {**about, "objects": objects, **files}


def messages(found: Sequence[SegmentedObject]) -> list[str]:
    """A line for people about each object."""
    lines = []
    for number, item in enumerate(found, start=1):
        named = f" ({item.label})" if item.label else ""
        share = f"{100 * float(item.mask.mean()):.1f} % of the picture"
        doubt = "" if item.passed else ", did not pass" if item.is_found else ", not found"
        lines.append(f"object {number}{named}: score {item.score:.3f}, {share}{doubt}")
    return lines


def doubts(found: Sequence[SegmentedObject], show_all: bool) -> list[str]:
    """Lines that say what is not to be believed: no answer passed the gate, or some that are shown did not."""
    from ...core.score_gate import none_passed, written_gate
    from .gate_wording import below_gate

    gate = found[0].threshold
    failed = [item for item in found if not item.passed]
    if gate is None or not failed:
        return []
    if len(failed) < len(found):
        return [f"{len(failed)} of {len(found)} answers did not pass {written_gate(gate)}{below_gate(show_all)}"]
    return [none_passed(gate, max(item.score for item in failed)) + below_gate(show_all)]
