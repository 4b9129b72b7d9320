"""Miniatures of benchmarks in the layout and the file formats of the originals."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from transformers_uniref.core.mask_codes import encode_rle
from transformers_uniref.core.palette import davis_palette
from transformers_uniref.datasets.converters.build import BuildResult, build
from transformers_uniref.datasets.converters.registry import find_converter
from transformers_uniref.datasets.parquet_shards import read_rows
from transformers_uniref.datasets.schema import Record

HEIGHT, WIDTH = 12, 16


def jpeg(size: tuple[int, int] = (HEIGHT, WIDTH), value: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size[1], size[0]), (value, value // 2, 40)).save(buffer, format="JPEG")
    return buffer.getvalue()


def palette_png(labels: np.ndarray) -> bytes:
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(davis_palette().tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def grey_png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    return buffer.getvalue()


def put(root: Path, files: dict[str, Any]) -> Path:
    """Write files by relative path: bytes, text, or anything else as JSON."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, (bytes, str)):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def square(row: int, column: int, side: int = 4, number: int = 1) -> np.ndarray:
    labels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    labels[row : row + side, column : column + side] = number
    return labels


def polygon(x: int, y: int, side: int) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def plain_rle(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed run lengths, as COCO writes crowds."""
    flat = mask.astype(bool).ravel(order="F")
    edges = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    runs = np.diff(edges).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}


def coco_file(images: dict[int, str], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "licenses": [],
        "images": [
            {"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH} for number, name in images.items()
        ],
        "annotations": annotations,
        "categories": [
            {"id": 18, "name": "dog", "supercategory": "animal"},
            {"id": 1, "name": "person", "supercategory": "person"},
        ],
    }


def annotation(number: int, image: int, segmentation: Any, box: list[float], **fields: Any) -> dict[str, Any]:
    entry = {"id": number, "image_id": image, "category_id": 18, "iscrowd": 0, "area": 16.0, "bbox": box}
    return entry | {"segmentation": segmentation} | fields


def coco_2017(root: Path, images: int = 3) -> Path:
    """COCO val2017 with one object of polygons, a crowd of plain run lengths, and an empty mask."""
    names = {100 + n: f"{100 + n:012d}.jpg" for n in range(images)}
    crowd = plain_rle(square(0, 0, 6) > 0)
    annotations = [
        annotation(1, 100, [polygon(2, 3, 4), polygon(9, 3, 4)], [2, 3, 11, 4]),
        annotation(2, 100, crowd, [0, 0, 6, 6], iscrowd=1, category_id=1),
        annotation(3, 101, [[5.0, 5.0, 5.0, 5.0, 5.0, 5.0]], [5, 5, 0, 0]),
    ]
    files: dict[str, Any] = {f"val2017/{name}": jpeg(value=60 + n) for n, name in names.items()}
    return put(root, files | {"annotations/instances_val2017.json": coco_file(names, annotations)})


def reference(number: int, image: int, ann: Any, split: str, *sentences: str, file: str = "") -> dict[str, Any]:
    first = number * 10
    return {
        "ref_id": number,
        "ann_id": ann,
        "image_id": image,
        "split": split,
        "category_id": 18,
        "file_name": file or f"COCO_train2014_{image:012d}_{number}.jpg",
        "sent_ids": [first + n for n in range(len(sentences))],
        "sentences": [
            {"sent_id": first + n, "sent": text, "raw": text.upper(), "tokens": text.split()}
            for n, text in enumerate(sentences)
        ],
    }


def refer(root: Path, references: list[dict[str, Any]], folder: str = "refcoco", file: str = "refs(unc).p") -> Path:
    """A data set of the family over pictures 7 (two dogs), 8 (one) and 9 (one), with pickles of protocol 2."""
    names = {number: f"COCO_train2014_{number:012d}.jpg" for number in (7, 8, 9)}
    annotations = [
        annotation(71, 7, [polygon(1, 1, 4)], [1, 1, 4, 4]),
        annotation(72, 7, [polygon(9, 5, 4)], [9, 5, 4, 4]),
        annotation(81, 8, [polygon(2, 2, 6)], [2, 2, 6, 6]),
        annotation(91, 9, encode_rle(square(3, 3) > 0), [3, 3, 4, 4]),
    ]
    content = json.dumps(references).encode() if file.endswith(".json") else pickle.dumps(references, protocol=2)
    files: dict[str, Any] = {f"images/mscoco/images/train2014/{name}": jpeg(value=n * 9) for n, name in names.items()}
    instances = {f"{folder}/instances.json": coco_file(names, annotations), f"{folder}/{file}": content}
    return put(root, files | instances)


UNC = [
    reference(0, 7, 71, "train", "left dog", "dog on the left"),
    reference(1, 7, 72, "train", "right dog"),
    reference(2, 8, 81, "val", "big dog"),
    reference(3, 9, 91, "testA", "the dog", "only dog"),
]


def clip(frames: str, masks: str, name: str, labels: dict[str, np.ndarray | None]) -> dict[str, Any]:
    """A clip's files: a JPEG a stem, and a palette PNG where labels are given."""
    files: dict[str, Any] = {f"{frames}/{name}/{stem}.jpg": jpeg(value=40 + n) for n, stem in enumerate(labels)}
    return files | {
        f"{masks}/{name}/{stem}.png": palette_png(map_) for stem, map_ in labels.items() if map_ is not None
    }


def davis(root: Path) -> Path:
    """DAVIS 2017 with one clip of two objects, of which one disappears, and one of one object."""
    both = square(1, 1) + square(6, 9, number=2)
    files = clip("JPEGImages/480p", "Annotations/480p", "camel", {"00000": both, "00001": both, "00002": square(2, 2)})
    files |= clip("JPEGImages/480p", "Annotations/480p", "goat", {"00000": square(0, 0), "00001": square(1, 1)})
    files |= {"ImageSets/2017/train.txt": "goat\n", "ImageSets/2017/val.txt": "camel\n"}
    files |= {"ImageSets/2016/train.txt": "goat\n", "ImageSets/2016/val.txt": "camel\n"}
    return put(root / "DAVIS", files).parent


def convert(name: str, source: Path, output: Path, *splits: str, **options: Any) -> BuildResult:
    return build(find_converter(name), source, output, splits, **options)


def records(output: Path, split: str) -> dict[str, Record]:
    """The built rows of a split by sample id."""
    rows = [row for path in sorted((output / "data").glob(f"{split}-*.parquet")) for row in read_rows(path)]
    return {row["sample_id"]: Record(row) for row in rows}
