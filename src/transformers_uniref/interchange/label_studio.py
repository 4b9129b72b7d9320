"""Label Studio's tasks with predictions, masks as the run lengths of its brush.

The brush's code packs the four channels of a picture, of which the mask is the last, as runs of bytes
(https://github.com/thi-ng/umbrella, package rle-pack): 32 bits number of values, 5 bits word size - 1, four times 4
bits run sizes - 1; then for each run one bit (1: a value repeated, 0: as many values), two bits that choose a run size,
the length - 1 in as many bits, and the value or values. Written out here because label-studio-sdk,
which has it, brings along OpenCV, pandas, NLTK and twenty more, and does not check what it reads.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.mask_codes import flat_runs
from .objects import DEFAULT_LABEL, AnnotatedImage, AnnotatedObject

_WORD_BITS = 8
_RUN_BITS = (3, 4, 8, 16)
_CHANNELS = 4
_OPAQUE = 128


def to_label_studio(
    images: Iterable[AnnotatedImage],
    *,
    from_name: str = "tag",
    to_name: str = "image",
    data_key: str = "image",
    url_prefix: str = "",
    model_version: str = "transformers_uniref",
) -> list[dict[str, Any]]:
    """Tasks with predictions, for import into a project whose labelling configuration has a `BrushLabels` tag.

    Args:
        images: pictures with their objects; objects without a pixel are left out.
        from_name: the name of the `BrushLabels` tag.
        to_name: the name of the `Image` tag that it is for.
        data_key: the task's field with the picture's address (`value="$image"`).
        url_prefix: what stands before a picture's name in that address, such as `/data/local-files/?d=`.
        model_version: shown beside the predictions.

    Returns:
        One task for each picture, ready for `json.dump`.

    Raises:
        ValueError: a picture without a name.
    """
    tasks = []
    for picture in images:
        if not picture.name:
            raise UsageError("`images` must have names: the tasks' addresses are made of them.")
        height, width = picture.size
        results = []
        for name, entry in zip(_region_ids(picture.found()), picture.found(), strict=True):
            result: dict[str, Any] = {
                "id": name,
                "type": "brushlabels",
                "from_name": from_name,
                "to_name": to_name,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {"format": "rle", "rle": encode_brush(entry.mask), "brushlabels": [entry.label]},
            }
            if entry.score is not None:
                result["score"] = entry.score
            results.append(result)
        scores = [entry.score for entry in picture.found() if entry.score is not None]
        prediction: dict[str, Any] = {"model_version": model_version, "result": results}
        if scores:
            prediction["score"] = sum(scores) / len(scores)
        tasks.append({"data": {data_key: url_prefix + picture.name}, "predictions": [prediction]})
    return tasks


def from_label_studio(tasks: Sequence[Mapping[str, Any]], *, data_key: str = "image") -> list[AnnotatedImage]:
    """The brush masks of Label Studio's JSON (tasks with predictions, or an export with annotations).

    Args:
        tasks: parsed JSON. Of a task with annotations the last one that was not cancelled counts, else its last
            prediction. A mask's pixels are those whose last channel is at least half opaque; other results are left
            out.
        data_key: the field with the picture's address, which becomes the name.

    Returns:
        One `AnnotatedImage` for each task that has a brush mask; a task without one does not tell its picture's size.
        Results that are missing or null are none.

    Raises:
        ValueError: no list of tasks; a code that does not hold its picture.
    """
    if not isinstance(tasks, Sequence) or isinstance(tasks, str):
        raise UsageError(f"`tasks` must be a list of tasks, got {type(tasks).__name__}.")
    images = []
    for task in tasks:
        objects = []
        for result in _results(task):
            value = result.get("value") or {}
            if not value.get("rle"):
                continue
            if not result.get("original_height") or not result.get("original_width"):
                raise UsageError(f"`tasks` has a brush mask without its picture's size, region {result.get('id')!r}.")
            size = (int(result["original_height"]), int(result["original_width"]))
            labels = value.get("brushlabels") or value.get("labels") or [DEFAULT_LABEL]
            objects.append(AnnotatedObject(decode_brush(value["rle"], size), labels[0], result.get("score")))
        if objects:
            size = (objects[0].mask.shape[0], objects[0].mask.shape[1])
            images.append(AnnotatedImage(size, objects, str((task.get("data") or {}).get(data_key) or "")))
    return images


def _region_ids(objects: Sequence[AnnotatedObject]) -> list[str]:
    """A distinct name for each object, its own number in it where that is the only one."""
    numbers = {entry.object_id for entry in objects if entry.object_id is not None}
    free = (number for number in itertools.count(1) if number not in numbers)
    seen: Counter[int] = Counter()
    names = []
    for entry in objects:
        number = next(free) if entry.object_id is None else entry.object_id
        seen[number] += 1
        names.append(f"object-{number}" + (f"-{seen[number]}" if seen[number] > 1 else ""))
    return names


def _results(task: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    given = [[entry for entry in task.get(kind) or () if entry is not None] for kind in ("annotations", "predictions")]
    chosen = [entry for entry in given[0] if not entry.get("was_cancelled")] or given[1] or [{}]
    return [result for result in chosen[-1].get("result") or () if isinstance(result, Mapping)]


def encode_brush(mask: np.ndarray) -> list[int]:
    """A bool (H, W) mask as the bytes of Label Studio's brush code."""
    header = f"{mask.size * _CHANNELS:032b}{_WORD_BITS - 1:05b}" + "".join(f"{bits - 1:04b}" for bits in _RUN_BITS)
    parts = [header]
    for place, run in enumerate(flat_runs(np.asarray(mask, dtype=bool).ravel())):
        value = "1" * _WORD_BITS if place % 2 else "0" * _WORD_BITS
        left = run * _CHANNELS
        while left:
            length = min(left, 1 << _RUN_BITS[-1])
            choice = next(index for index, bits in enumerate(_RUN_BITS) if length <= 1 << bits)
            parts.append(f"1{choice:02b}{length - 1:0{_RUN_BITS[choice]}b}{value}")
            left -= length
    bits = "".join(parts)
    bits += "0" * (-len(bits) % 8)
    return list(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def decode_brush(code: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """The bool (H, W) mask of Label Studio's brush code, bytes as numbers 0 to 255.

    Raises:
        ValueError: the code does not hold a picture of this size, or ends early.
    """
    data = bytes(code)
    bits = "".join(f"{byte:08b}" for byte in data)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        if place + count > len(bits):
            raise UsageError("`code` ends in the middle of a run.")
        place += count
        return int(bits[place - count : place], 2)

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    if total != size[0] * size[1] * _CHANNELS:
        raise UsageError(f"`code` holds {total} values, a picture of size {size} has {size[0] * size[1] * _CHANNELS}.")
    values = np.zeros(total, dtype=np.uint32)
    filled = 0
    while filled < total:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        if filled + length > total:
            raise UsageError("`code` holds a run that leaves its picture.")
        values[filled : filled + length] = read(word) if repeated else [read(word) for _ in range(length)]
        filled += length
    return values.reshape(*size, _CHANNELS)[..., -1] >= _OPAQUE
