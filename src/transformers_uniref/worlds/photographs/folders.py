"""Folders of photographs with masks: COCO's layout (instances) and ADE20K's (one class a pixel)."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from PIL import Image
from scipy import ndimage

from ...core.errors import UsageError
from ...core.mask_codes import decode_rle
from ...datasets.converters.coco_masks import to_rle

_kept = functools.lru_cache(maxsize=256)
"""Keeps the pictures read last, of all folders of a layout."""
_LEAST_COMPONENT = 0.002
"""A part of a class that is smaller than this share of the picture is no object of its own."""

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class DecodedPhotograph:
    """One photograph, decoded.

    Attributes:
        image: uint8 (H, W, 3).
        masks: bool (n, H, W).
        names: n classes.
        crowd: n flags: the mask holds several of its class that are not told apart.
        captions: sentences that people wrote about the whole picture.
    """

    image: np.ndarray
    masks: np.ndarray
    names: tuple[str, ...]
    crowd: tuple[bool, ...]
    captions: tuple[str, ...] = ()


class PhotographFolder(Protocol):
    """What the scenes are made from."""

    classes: tuple[str, ...]
    kind: str
    by_class: dict[str, list[int]]

    def __len__(self) -> int: ...

    def read(self, number: int) -> DecodedPhotograph:
        """The photograph of this number."""
        ...

    def contents(self, number: int) -> frozenset[str]:
        """The classes that it shows."""
        ...

    def captioned(self) -> Iterator[tuple[str, str]]:
        """Each caption with each class that its photograph shows."""
        ...


def held_out(count: int, split: Split, every: int = 18) -> list[int]:
    """The numbers of a split: every `every`-th photograph is kept for validation, the others are trained on.

    Args:
        count: photographs in order of their names.
        split: "test" takes all of them, for a folder that is only measured by.
    """
    if split == "test":
        return list(range(count))
    return [number for number in range(count) if (number % every == every - 1) == (split == "validation")]


class CocoFolder:
    """`images/` and `instances.json` in COCO's format, `captions.json` ({image id: sentences}) where there is one.

    Raises:
        ValueError: a file is missing or is not of that format; names it.
    """

    kind = "coco"

    def __init__(self, folder: str | Path, split: Split = "train") -> None:
        self.folder = Path(folder)
        document = _read_json(self.folder / "instances.json")
        try:
            images = sorted(document["images"], key=lambda image: image["file_name"])
            names = {category["id"]: category["name"] for category in document["categories"]}
            annotations = document["annotations"]
        except (KeyError, TypeError) as error:
            raise UsageError(f"{self.folder / 'instances.json'}: no COCO annotations, {error} is missing") from None
        captions = self.folder / "captions.json"
        self._captions = _read_json(captions) if captions.is_file() else {}
        self._images = [images[number] for number in held_out(len(images), split)]
        position = {image["id"]: number for number, image in enumerate(self._images)}
        self._annotations: list[list[dict[str, Any]]] = [[] for _ in self._images]
        self.classes = tuple(names.values())
        self._names = names
        self.by_class: dict[str, list[int]] = {name: [] for name in self.classes}
        for annotation in annotations:
            number = position.get(annotation["image_id"])
            if number is None:
                continue
            self._annotations[number].append(annotation)
            name = names[annotation["category_id"]]
            if not self.by_class[name] or self.by_class[name][-1] != number:
                self.by_class[name].append(number)
        self.by_class = {name: sorted(set(numbers)) for name, numbers in self.by_class.items()}

    def __len__(self) -> int:
        return len(self._images)

    def contents(self, number: int) -> frozenset[str]:
        return frozenset(self._names[one["category_id"]] for one in self._annotations[number])

    def captioned(self) -> Iterator[tuple[str, str]]:
        for number, image in enumerate(self._images):
            for caption in self._captions.get(str(image["id"]), ()):
                yield from ((caption, name) for name in sorted(self.contents(number)))

    def read(self, number: int) -> DecodedPhotograph:
        data, codes, names, crowd, captions = self._load(number)
        height, width = data.shape[:2]
        masks = [decode_segmentation(code, height, width) for code in codes]
        stacked = np.stack(masks) if masks else np.zeros((0, height, width), bool)
        return DecodedPhotograph(data, stacked, names, crowd, captions)

    @_kept
    def _load(self, number: int) -> tuple[Any, ...]:
        image, annotations = self._images[number], self._annotations[number]
        path = self.folder / "images" / image["file_name"]
        with Image.open(path) as picture:
            data = np.asarray(picture.convert("RGB"))
        if data.shape[:2] != (image["height"], image["width"]):
            raise UsageError(f"{path}: {data.shape[1]}x{data.shape[0]} pixels, instances.json says otherwise")
        return (
            data,
            [annotation["segmentation"] for annotation in annotations],
            tuple(self._names[annotation["category_id"]] for annotation in annotations),
            tuple(bool(annotation.get("iscrowd")) for annotation in annotations),
            tuple(self._captions.get(str(image["id"]), ())),
        )


class AdeFolder:
    """`images/` and `labels/` (PNG of class numbers, 0: unlabelled), `names.json` ({number: name}) here or above.

    A class is one region; its connected parts are its objects where they are told apart at all.
    """

    kind = "ade"

    def __init__(self, folder: str | Path, split: Split = "train") -> None:
        self.folder = Path(folder)
        names = next(
            (at / "names.json" for at in (self.folder, self.folder.parent) if (at / "names.json").is_file()), None
        )
        if names is None:
            raise UsageError(f"{self.folder}: no names.json here or above")
        self._names = {int(number): name for number, name in _read_json(names).items()}
        self.classes = tuple(self._names.values())
        files = sorted((self.folder / "images").glob("*.jpg"))
        if not files:
            raise UsageError(f"{self.folder / 'images'}: no photographs (*.jpg)")
        self.files = [files[number] for number in held_out(len(files), split)]
        self.by_class: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self.files)

    @functools.cache  # noqa: B019 - a folder lives as long as its process
    def contents(self, number: int) -> frozenset[str]:
        return frozenset(self._names[v] for v in np.unique(self._label(number)) if v in self._names)

    def captioned(self) -> Iterator[tuple[str, str]]:
        return iter(())

    def _label(self, number: int) -> np.ndarray:
        path = self.files[number]
        with Image.open(self.folder / "labels" / f"{path.stem}.png") as picture:
            return np.asarray(picture)

    @_kept
    def _load(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        with Image.open(self.files[number]) as picture:
            return np.asarray(picture.convert("RGB")), self._label(number)

    def read(self, number: int) -> DecodedPhotograph:
        image, label = self._load(number)
        values = [int(v) for v in np.unique(label) if v in self._names]
        masks = label == np.array(values, label.dtype)[:, None, None]
        return DecodedPhotograph(image, masks, tuple(self._names[v] for v in values), (False,) * len(values))


def parts_of(mask: np.ndarray) -> list[np.ndarray]:
    """The connected parts of a bool (H, W) mask that are large enough to be objects, largest first."""
    numbers, count = ndimage.label(mask)
    if count <= 1:
        return [mask]
    sizes = np.bincount(numbers.ravel())[1:]
    kept = [int(n) + 1 for n in np.argsort(-sizes) if sizes[n] >= _LEAST_COMPONENT * mask.size]
    return [numbers == number for number in kept]


def decode_segmentation(segmentation: Any, height: int, width: int) -> np.ndarray:
    """COCO's polygons or run-length code as bool (height, width); empty where there is nothing to fill."""
    code = to_rle(segmentation, (height, width))
    return np.zeros((height, width), bool) if code is None else decode_rle(code)


def open_folder(folder: str | Path, split: Split = "train") -> PhotographFolder:
    """The folder in whichever of both layouts it has.

    Raises:
        ValueError: it has neither.
    """
    path = Path(folder)
    if (path / "instances.json").is_file():
        return CocoFolder(path, split)
    if (path / "labels").is_dir():
        return AdeFolder(path, split)
    raise UsageError(f"{path}: neither instances.json (COCO's layout) nor labels/ (ADE20K's)")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UsageError(f"{path}: no JSON ({error})") from error
