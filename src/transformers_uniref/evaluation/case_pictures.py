"""Pictures of the best and the worst answers of a run: what was found beside what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.atomic import replacing
from ..core.mask_codes import decode_rle
from ..datasets.schema import Record
from ..media.label_files import read_label_png
from ..media.overlays import contact_sheet, overlay_masks
from .benchmarks import Benchmark
from .evaluated_rows import Rows

CASES = 6

Case = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A picture, what was found in it, and what is true."""


def draw_cases(benchmark: Benchmark, samples: Sequence[Mapping[str, Any]], rows: Rows, folder: Path) -> None:
    """Writes `best.png` and `worst.png` to the folder of a run: a row for each answer, beside it what is true."""
    measure = "J&F" if benchmark.is_video else "iou"
    ordered = sorted(samples, key=lambda sample: (-sample[measure], sample["sample"]))
    for name, chosen in (("best", ordered[:CASES]), ("worst", ordered[::-1][:CASES])):
        pictures: list[np.ndarray] = []
        captions: list[str] = []
        for sample in chosen:
            record = Record(rows.row(sample["row"]))
            if benchmark.is_video:
                image, found, true = _clip_case(benchmark, sample, record, folder / "masks")
            else:
                image, found, true = _picture_case(benchmark, sample, record)
            pictures += [overlay_masks(image, [found]), overlay_masks(image, {2: true})]
            asked = sample.get("text") or sample.get("sentence") or sample.get("category")
            truth = f"truth: {asked}" if asked else "truth"
            captions += [f"{sample['sample']}: {measure} {sample[measure]:.3f}", truth]
        with replacing(folder / f"{name}.png") as partial:
            Image.fromarray(contact_sheet(pictures, captions, columns=2)).save(partial, format="PNG")


def _picture_case(benchmark: Benchmark, sample: Mapping[str, Any], record: Record) -> Case:
    image = record.image()
    if benchmark.family == "everything":
        meant = list(record.instances)
    elif benchmark.family == "fss":
        meant = [n for n, instance in record.instances.items() if instance.category == sample["category"]]
    else:
        meant = list(record.sentences[int(sample["sample"].rpartition("#")[2])].object_ids)
    return image, decode_rle(sample["prediction"]), record.union(meant, 0, image.shape[:2])


def _clip_case(benchmark: Benchmark, sample: Mapping[str, Any], record: Record, masks: Path) -> Case:
    """The frame in the middle of those that are annotated."""
    annotated = [index for index, known in enumerate(record.annotated) if known]
    index = annotated[len(annotated) // 2]
    frame = record.frame_names[index] if record.frame_names else f"{index:05d}"
    home = masks / (f"annotator-{sample['annotator']}" if sample["annotator"] else "")
    path = home / sample["clip"] / sample["sentence"] / f"{frame}.png"
    labels = read_label_png(path, str(path))[0]
    image = record.image(index)
    if not benchmark.by_sentence:
        number = sample["object"]
        return image, labels == number, record.instances[number].mask(index, image.shape[:2])
    keys = [str(entry.source_id if entry.source_id >= 0 else n) for n, entry in enumerate(record.sentences)]
    meant = record.sentences[keys.index(sample["sentence"])].object_ids
    return image, labels > 0, record.union(meant, index, image.shape[:2])
