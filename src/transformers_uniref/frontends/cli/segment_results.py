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
            was found alone, on a transparent ground; one JSON file with COCO's run lengths, as its results have them.
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
        drawn = overlay_masks(image, [item.mask for item in found])
        shown = with_legend(drawn, legend_of(found)) if legend else drawn
        Image.fromarray(shown).save(folder / FILES["overlay"])
    if "palette" in formats:
        save_label_map(folder / FILES["palette"], label_map(found))
    if "binary" in formats:
        (folder / FILES["binary"]).mkdir()
        for number, item in enumerate(found, start=1):
            Image.fromarray(item.mask.astype("uint8") * 255).save(folder / FILES["binary"] / f"{number}.png")
    if "cutout" in formats:
        (folder / FILES["cutout"]).mkdir()
        for number, item in enumerate(found, start=1):
            if item.is_found:
                alone = cut_out(image, item.mask, whole=whole_cutouts)
                Image.fromarray(alone).save(folder / FILES["cutout"] / f"{number}.png")
    if "rle" in formats:
        keys = ("id", "text", "score", "bbox", "area", "segmentation", "passed")
        objects = [item.summary(*keys, number=number) for number, item in enumerate(found, start=1)]
        about = {"image": label, "height": image.shape[0], "width": image.shape[1], "objects": objects}
        (folder / FILES["rle"]).write_text(to_json(about) + "\n", encoding="utf-8")


def legend_of(found: Sequence[SegmentedObject]) -> dict[int, str]:
    """What the legend says about each object; the score comes first, since long sentences are cut."""
    entries = {}
    for number, item in enumerate(found, start=1):
        lost = "" if item.is_found else ", not found"
        entries[number] = f"{number} ({item.score:.2f}{lost})" + (f": {item.label}" if item.label else "")
    return entries


def summary(
    label: str, image: np.ndarray, found: Sequence[SegmentedObject], folder: Path, formats: Sequence[str]
) -> dict[str, Any]:
    """What `--json` prints about a picture."""
    keys = ("id", "text", "score", "box", "pixels", "passed", "unknown_words")
    objects = [item.summary(*keys, number=number) for number, item in enumerate(found, start=1)]
    files: dict[str, Any] = {}
    for name in formats:
        place = folder / FILES[name]
        numbered = [str(place / f"{number}.png") for number in range(1, len(found) + 1)]
        if name == "cutout":
            files[name] = [file if item.is_found else None for file, item in zip(numbered, found, strict=True)]
        else:
            files["mask" if name == "palette" else name] = numbered if name == "binary" else str(place)
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

    gate = found[0].threshold
    failed = [item for item in found if not item.passed]
    if gate is None or not failed:
        return []
    if len(failed) < len(found):
        return [f"{len(failed)} of {len(found)} answers did not pass {written_gate(gate)}{below_gate(show_all)}"]
    return [none_passed(gate, max(item.score for item in failed)) + below_gate(show_all)]


def below_gate(show_all: bool) -> str:
    """Behind a line of `segment` or `track` about answers that did not pass: why they show, or how they would."""
    return ": shown because of --all" if show_all else " (--threshold sets another gate, --all shows every answer)"
