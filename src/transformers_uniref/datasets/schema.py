"""One schema for the data of all tasks: images and clips, their objects, and sentences about them.

A row is one image (a clip of one frame) or one clip:

| column | content |
|---|---|
| `sample_id` | str, unique in the dataset |
| `source` | str, where the row comes from ("coco", "world", ...) |
| `split` | str |
| `image_id` | str, the picture or clip in its collection, as `coco:581857`, `davis:camel`; "" where unknown |
| `height`, `width` | int, pixels of every frame |
| `frames` | the pictures in order of time: encoded bytes, or a path; one for an image |
| `frame_names` | str a frame (a file's stem), to write results under; may be empty |
| `annotated` | bool a frame: whether its objects are known. Frames that nobody annotated are False |
| `instances` | the objects, see below |
| `sentences` | {`text`, `object_ids`, `annotator`, `source_id`, `labelled`}, see below |

An instance lists only the frames in which it shows:

| field | content |
|---|---|
| `object_id` | int, at least 1, unique in the row, the same in all frames |
| `category_id` | int from 0, or -1 where unknown |
| `category` | str, or "" where unknown |
| `is_crowd` | bool: a region of many objects, no target of detection |
| `frame_indices` | the frames in which it shows, rising |
| `boxes` | [x0, y0, x1, y1] in pixels for each of these frames, the maximum exclusive |
| `masks` | {`png` bytes, `rle` {`size`, `counts`}} for each of these frames, one of both; empty: only boxes are known |
| `source_id` | int, the annotation's id in the original; -1 where it has none. The same of a sentence |

A sentence means the objects `object_ids`. None: it is true of nothing here; or, where `labelled` is False, its answer
is not public. Rows of equal `image_id` show the same pictures, in whichever dataset they are.

Rows are read with [`Record`], which decodes nothing before it is asked for, and written with [`make_row`]. Needs the
package `datasets` (extra `data`).
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..core.errors import UsageError
from ..core.mask_boxes import box_of
from ..core.mask_codes import decode_png, decode_rle, encode_png, encode_rle
from ..core.optional import require

Row = dict[str, Any]

_MASK = {"png": "binary", "rle": {"size": ["int32"], "counts": "string"}}
_INSTANCE = {
    "object_id": "int32",
    "category_id": "int32",
    "category": "string",
    "is_crowd": "bool",
    "frame_indices": ["int32"],
    "boxes": [["float32"]],
    "masks": [_MASK],
    "source_id": "int64",
}
_SENTENCE = {
    "text": "string",
    "object_ids": ["int32"],
    "annotator": "int32",
    "source_id": "int64",
    "labelled": "bool",
}
_ROW = {
    "sample_id": "string",
    "source": "string",
    "split": "string",
    "image_id": "string",
    "height": "int32",
    "width": "int32",
    "frames": ["picture"],
    "frame_names": ["string"],
    "annotated": ["bool"],
    "instances": [_INSTANCE],
    "sentences": [_SENTENCE],
}
COLUMNS = tuple(_ROW)
TASK_COLUMNS = {
    "detection": ("frames", "instances"),
    "ris": ("frames", "instances", "sentences"),
    "fss": ("frames", "instances"),
    "vos": ("frames", "instances"),
    "rvos": ("frames", "instances", "sentences"),
}
"""The columns that a task cannot do without; the others have defaults."""

_SENTENCE_DEFAULTS = {"annotator": 0, "source_id": -1, "labelled": True}
_INSTANCE_FIELDS = ("object_id", "frame_indices", "boxes")


def features() -> Any:
    """The schema as `datasets.Features`."""
    require("datasets", "data", "the schema as `datasets.Features`")
    from datasets import Features, List, Value
    from datasets import Image as ImageFeature

    def feature(kind: Any) -> Any:
        if isinstance(kind, dict):
            return {name: feature(part) for name, part in kind.items()}
        if isinstance(kind, list):
            return List(feature(kind[0]))
        return ImageFeature() if kind == "picture" else Value(kind)

    return Features(feature(_ROW))


def check_columns(columns: Iterable[str] | None, task: str, name: str) -> None:
    """Check that a dataset has what `task` needs.

    Args:
        columns: its columns; `None` (a stream of unknown columns) is not checked.
        task: detection, ris, fss, vos or rvos.
        name: the dataset's name, for the message.

    Raises:
        ValueError: a column is missing; names it and what was found.
    """
    if columns is None:
        return
    found = list(columns)
    missing = [column for column in TASK_COLUMNS[task] if column not in found]
    if missing:
        raise UsageError(
            f"dataset {name!r} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} that the task "
            f"{task} needs; it has {', '.join(found) or 'none'} (see transformers_uniref.datasets.schema)"
        )


def check_row(row: Mapping[str, Any]) -> None:
    """Check that a row keeps to the schema, without decoding pictures.

    Raises:
        ValueError: something is missing, doubled, or contradicts something else; names the sample.
    """
    where = f"sample {row.get('sample_id', '?')!r}"
    missing = [column for column in ("frames", "instances") if row.get(column) is None]
    if missing:
        raise UsageError(f"{where}: the column {missing[0]} is missing or empty")
    count = len(row["frames"])
    if not count:
        raise UsageError(f"{where}: there is no frame")
    for column in ("frame_names", "annotated"):
        if row.get(column) and len(row[column]) != count:
            raise UsageError(f"{where}: {len(row[column])} {column} for {count} frames")
    ids = [instance["object_id"] for instance in row["instances"]]
    if len(set(ids)) < len(ids) or any(number < 1 for number in ids):
        raise UsageError(f"{where}: object ids must be at least 1 and unique, got {ids}")
    for instance in row["instances"]:
        _check_instance(instance, count, f"{where}, object {instance['object_id']}")
    for sentence in row.get("sentences") or ():
        unknown = set(sentence["object_ids"]) - set(ids)
        if unknown:
            raise UsageError(f"{where}: the sentence {sentence['text']!r} means unknown objects {sorted(unknown)}")


def _check_instance(instance: Mapping[str, Any], frames: int, where: str) -> None:
    missing = [field for field in _INSTANCE_FIELDS if instance.get(field) is None]
    if missing:
        raise UsageError(f"{where}: the field {missing[0]} is missing")
    shown = list(instance["frame_indices"])
    if shown != sorted(set(shown)) or (shown and not 0 <= shown[0] <= shown[-1] < frames):
        raise UsageError(f"{where}: frame_indices must rise from 0 to {frames - 1}, got {shown}")
    if len(instance["boxes"]) != len(shown):
        raise UsageError(f"{where}: {len(instance['boxes'])} boxes for {len(shown)} frames")
    masks = instance.get("masks") or ()
    if masks and len(masks) != len(shown):
        raise UsageError(f"{where}: {len(masks)} masks for {len(shown)} frames; accepted are as many, or none")


@dataclass(frozen=True)
class Instance:
    """One object of a record; masks stay encoded."""

    object_id: int
    category_id: int
    category: str
    is_crowd: bool
    frame_indices: tuple[int, ...]
    boxes: tuple[Sequence[float], ...]
    masks: tuple[Mapping[str, Any], ...]
    source_id: int = -1

    @property
    def has_masks(self) -> bool:
        """Whether masks are known (otherwise only boxes are)."""
        return bool(self.masks)

    def shows(self, frame: int) -> bool:
        """Whether any of it is seen in `frame`."""
        return frame in self.frame_indices

    def box(self, frame: int) -> tuple[float, float, float, float]:
        """[x0, y0, x1, y1] in pixels of a frame in which it shows."""
        x0, y0, x1, y1 = (float(value) for value in self.boxes[self.frame_indices.index(frame)])
        return x0, y0, x1, y1

    def mask(self, frame: int, size: tuple[int, int]) -> np.ndarray:
        """Bool (H, W); empty in a frame in which it does not show.

        Raises:
            ValueError: its masks are unknown, unreadable, or of another size than the picture.
        """
        if not self.masks:
            raise UsageError(f"object {self.object_id} has boxes only, no masks")
        if frame not in self.frame_indices:
            return np.zeros(size, dtype=bool)
        code = self.masks[self.frame_indices.index(frame)]
        if code.get("png") is not None:
            mask = decode_png(code["png"])
        elif code.get("rle") is not None and code["rle"].get("counts") is not None:
            mask = decode_rle(code["rle"])
        else:
            raise UsageError(f"object {self.object_id} has neither png nor rle in frame {frame}")
        if mask.shape != tuple(size):
            raise UsageError(f"object {self.object_id}: mask of {mask.shape} on a picture of {tuple(size)}")
        return mask


@dataclass(frozen=True)
class Sentence:
    """A sentence and the objects that it means; none: it is true of nothing here, or not `labelled`."""

    text: str
    object_ids: tuple[int, ...]
    annotator: int = 0
    source_id: int = -1
    labelled: bool = True


class Record:
    """A row of the schema to read from. Frames and masks are decoded when they are asked for.

    Args:
        row: a row with undecoded frames ({"bytes", "path"}), or with pictures.
        sample_id: replaces the row's own.

    Raises:
        ValueError: the row breaks the schema.
    """

    def __init__(self, row: Mapping[str, Any], sample_id: str | None = None) -> None:
        check_row(row)
        self.sample_id = str(row.get("sample_id", "?")) if sample_id is None else sample_id
        self.image_id: str = row.get("image_id") or ""
        self.frame_names: tuple[str, ...] = tuple(row.get("frame_names") or ())
        self._frames = row["frames"]
        self.annotated: tuple[bool, ...] = tuple(row.get("annotated") or [True] * len(self._frames))
        self.instances = {
            instance["object_id"]: Instance(
                instance["object_id"],
                _given(instance.get("category_id"), -1),
                instance.get("category") or "",
                bool(instance.get("is_crowd")),
                tuple(instance["frame_indices"]),
                tuple(instance["boxes"]),
                tuple(instance.get("masks") or ()),
                _given(instance.get("source_id"), -1),
            )
            for instance in row["instances"]
        }
        self.sentences = [
            Sentence(
                entry["text"],
                tuple(entry["object_ids"]),
                _given(entry.get("annotator"), 0),
                _given(entry.get("source_id"), -1),
                _given(entry.get("labelled"), True),
            )
            for entry in row.get("sentences") or ()
        ]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._frames)

    def image(self, frame: int = 0) -> np.ndarray:
        """One frame, uint8 (H, W, 3) RGB.

        Raises:
            OSError: the file is missing or broken.
        """
        value = self._frames[frame]
        if isinstance(value, Image.Image):
            return np.asarray(value.convert("RGB"))
        if value.get("bytes") is None:
            require("datasets", "data", "reading a picture by its path")
            from datasets import Image as ImageFeature

            return np.asarray(ImageFeature(mode="RGB").decode_example(dict(value)))
        with Image.open(io.BytesIO(value["bytes"])) as picture:
            return np.asarray(picture.convert("RGB"))

    def shown(self, frame: int) -> list[Instance]:
        """The objects that show in `frame`."""
        return [instance for instance in self.instances.values() if instance.shows(frame)]

    def union(self, object_ids: Iterable[int], frame: int, size: tuple[int, int]) -> np.ndarray:
        """Bool (H, W): the union of some objects' masks in `frame`."""
        mask = np.zeros(size, dtype=bool)
        for number in object_ids:
            mask |= self.instances[number].mask(frame, size)
        return mask


def _given(value: Any, default: Any) -> Any:
    return default if value is None else value


def tight_box(mask: np.ndarray) -> list[float]:
    """[x0, y0, x1, y1] in pixels of a non-empty mask, the maximum exclusive."""
    return [float(side) for side in box_of(mask)]


def make_instance(
    object_id: int,
    masks: Mapping[int, np.ndarray] | None = None,
    boxes: Mapping[int, Sequence[float]] | None = None,
    category: str = "",
    category_id: int = -1,
    is_crowd: bool = False,
    code: str = "png",
    source_id: int = -1,
) -> dict[str, Any]:
    """One object for [`make_row`].

    Args:
        object_id: at least 1.
        masks: bool (H, W) by frame; empty masks are left out. Their boxes are computed.
        boxes: [x0, y0, x1, y1] by frame, for objects without masks.
        category, category_id, is_crowd, source_id: see the module.
        code: "png" or "rle", how masks are stored.

    Raises:
        ValueError: neither or both of masks and boxes, or an unknown code.
    """
    if (masks is None) == (boxes is None):
        raise UsageError(f"object {object_id}: give either masks or boxes")
    if code not in ("png", "rle"):
        raise UsageError(f"code: got {code!r}; accepted: 'png', 'rle'")
    if masks is not None:
        shown = {frame: masks[frame] for frame in sorted(masks) if masks[frame].any()}
        boxes = {frame: tight_box(mask) for frame, mask in shown.items()}
        stored = [
            {"png": encode_png(mask), "rle": None} if code == "png" else {"png": None, "rle": encode_rle(mask)}
            for mask in shown.values()
        ]
    else:
        stored = []
    assert boxes is not None
    frames = sorted(boxes)
    return make_encoded_instance(
        object_id,
        frames,
        [boxes[frame] for frame in frames],
        stored,
        category=category,
        category_id=category_id,
        is_crowd=is_crowd,
        source_id=source_id,
    )


def make_encoded_instance(
    object_id: int,
    frames: Sequence[int],
    boxes: Sequence[Sequence[float]],
    masks: Sequence[Mapping[str, Any]] = (),
    *,
    category: str = "",
    category_id: int = -1,
    is_crowd: bool = False,
    source_id: int = -1,
) -> dict[str, Any]:
    """One object for [`make_row`], whose masks are encoded already.

    Args:
        object_id: at least 1.
        frames: the frames in which it shows, rising.
        boxes: [x0, y0, x1, y1] for each of them.
        masks: {"png", "rle"} for each of them, one of both None; empty: unknown.
        category, category_id, is_crowd, source_id: see the module.
    """
    return {
        "object_id": int(object_id),
        "category_id": int(category_id),
        "category": category,
        "is_crowd": bool(is_crowd),
        "frame_indices": [int(frame) for frame in frames],
        "boxes": [[float(value) for value in box] for box in boxes],
        "masks": list(masks),
        "source_id": int(source_id),
    }


def make_row(
    sample_id: str,
    frames: Sequence[np.ndarray | Image.Image | Mapping[str, Any]],
    instances: Sequence[dict[str, Any]],
    sentences: Sequence[tuple[str, Sequence[int]]] | Sequence[dict[str, Any]] = (),
    *,
    source: str,
    split: str,
    image_id: str = "",
    size: tuple[int, int] | None = None,
    frame_names: Sequence[str] = (),
    annotated: Sequence[bool] | None = None,
) -> Row:
    """A row of the schema, checked.

    Args:
        sample_id: unique in its dataset.
        frames: uint8 (H, W, 3) arrays, pictures, or {"bytes", "path"} of encoded ones (then `size` is needed).
        instances: made by [`make_instance`].
        sentences: (text, object ids), or dictionaries, of which only `text` and `object_ids` are needed.
        source, split, image_id, frame_names, annotated: see the module.
        size: (height, width).

    Raises:
        ValueError: the row breaks the schema.
    """
    if size is None:
        first = frames[0]
        if isinstance(first, Mapping):
            raise UsageError(f"sample {sample_id!r}: size is needed with encoded frames")
        size = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
    row = {
        "sample_id": sample_id,
        "source": source,
        "split": split,
        "image_id": image_id,
        "height": int(size[0]),
        "width": int(size[1]),
        "frames": [Image.fromarray(frame) if isinstance(frame, np.ndarray) else frame for frame in frames],
        "frame_names": list(frame_names),
        "annotated": [True] * len(frames) if annotated is None else list(annotated),
        "instances": list(instances),
        "sentences": [
            _SENTENCE_DEFAULTS
            | (entry if isinstance(entry, dict) else {"text": entry[0], "object_ids": list(entry[1])})
            for entry in sentences
        ],
    }
    check_row(row)
    return row
