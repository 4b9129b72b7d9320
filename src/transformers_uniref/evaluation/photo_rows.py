"""Folders of photographs as rows of the schema: COCO's layout with sentences, ADE20K's with class names as sentences.

- COCO: `images/`, `instances.json`, and `sentences.json`, a list of `{"image_id", "text", "annotation_ids"}`: a
  sentence means these objects, none where the list is empty.
- ADE20K: `images/*.jpg`, `labels/*.png` and `names.json` here or above: "the wall" means every pixel of that class.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.errors import UsageError
from ..datasets.schema import Row, make_instance, make_row
from ..worlds.photographs.folders import AdeFolder, decode_segmentation, open_folder

PAIR_SHARE = 0.01
"""A class that takes less of a picture is neither shown as an example nor asked about by one."""

FIXED_PAIRS = Path(__file__).with_name("photo_pairs.json")
"""For `coco_photos/report`: which example is shown for which question, by file names."""


class PhotoRows:
    """See `evaluated_rows.Rows`: each photograph with its sentences.

    Args:
        folder: in one of both layouts.
        with_sentences: False: each with its objects alone, which COCO's layout has to tell apart; crowds are none.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: it has neither layout, no sentences, or a sentence about an object that is not there.
    """

    def __init__(self, folder: Path, with_sentences: bool = True) -> None:
        self._pictures = read_pictures(folder, with_sentences)
        if not with_sentences:
            apart = [one for one in self._pictures if isinstance(one, _CocoPicture)]
            if not apart:
                raise UsageError(
                    f"`dataset` must tell objects apart, as COCO's layout does, got classes alone: {folder}"
                )
            self._pictures = [one.without_crowds() for one in apart]
        self.sample_ids = [picture.name for picture in self._pictures]

    def row(self, index: int) -> Row:
        """See `Rows`."""
        return self._pictures[index].row()

    def categories(self) -> list[str]:
        """One picture shows many classes."""
        return ["" for _ in self._pictures]


class PhotoPairRows:
    """Each class of each photograph as a question by an example: another photograph of the class.

    Classes count where they take at least `PAIR_SHARE` of the picture, and where two pictures show them. All objects of
    the class are marked, and meant.
    """

    def __init__(self, folder: Path) -> None:
        found: dict[str, list[tuple[Any, str]]] = {}
        for picture in read_pictures(folder, with_sentences=False):
            for name in picture.classes(PAIR_SHARE):
                found.setdefault(name, []).append((picture, name))
        self._questions = [question for questions in found.values() if len(questions) > 1 for question in questions]
        if not self._questions:
            raise UsageError(f"`dataset` must show a class in at least two photographs, got none: {folder}")
        self.sample_ids = [f"{picture.name}:{name}" for picture, name in self._questions]
        given = json.loads(FIXED_PAIRS.read_text(encoding="utf-8"))
        number = {sample: index for index, sample in enumerate(self.sample_ids)}
        fixed = {sample: given[sample] for sample in self.sample_ids if sample in given}
        # The list is that of one folder; in another, pictures that happen to have the same names are drawn as all.
        whole = set(fixed) == set(self.sample_ids) and all(example in number for example in fixed.values())
        self.examples: dict[int, int] = {number[s]: number[example] for s, example in fixed.items()} if whole else {}

    def row(self, index: int) -> Row:
        """See `Rows`; of the objects only those of the class."""
        picture, name = self._questions[index]
        return picture.row(self.sample_ids[index], only=name)

    def categories(self) -> list[str]:
        """See `Rows`."""
        return [name for _, name in self._questions]


class _Picture(ABC):
    """One photograph, read when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem

    @abstractmethod
    def objects(self) -> list[tuple[int, str, np.ndarray]]:
        """(id from 1, class, bool (H, W)) of each."""

    @abstractmethod
    def sentences(self) -> list[tuple[str, list[int]]]:
        """Each with the ids of the objects that it means."""

    def classes(self, share: float) -> list[str]:
        """Those that take at least this share of the picture, all their objects together."""
        together: dict[str, np.ndarray] = {}
        for _, name, mask in self.objects():
            together[name] = together[name] | mask if name in together else mask
        return [name for name, mask in together.items() if mask.mean() >= share]

    def row(self, sample_id: str = "", only: str | None = None) -> Row:
        """A row of the schema, its objects all or those of one class."""
        with Image.open(self.path) as file:
            size = (file.height, file.width)
        instances = [
            make_instance(number, {0: mask}, category=name)
            for number, name, mask in self.objects()
            if mask.any() and only in (None, name)
        ]
        return make_row(
            sample_id or self.name,
            [{"bytes": self.path.read_bytes(), "path": self.path.name}],
            instances,
            self.sentences() if only is None else (),
            source="photos",
            split="all",
            image_id=f"photos:{self.name}",
            size=size,
        )


class _CocoPicture(_Picture):
    def __init__(
        self,
        path: Path,
        sentences: list[tuple[str, list[int]]],
        annotations: list[tuple[str, Any]],
        crowd: list[bool],
    ) -> None:
        super().__init__(path)
        self._sentences, self.annotations, self._crowd = sentences, annotations, crowd

    def sentences(self) -> list[tuple[str, list[int]]]:
        return self._sentences

    def without_crowds(self) -> _Picture:
        """Its objects alone, those that are told apart."""
        single = [one for one, crowd in zip(self.annotations, self._crowd, strict=True) if not crowd]
        return _CocoPicture(self.path, [], single, [False] * len(single))

    def objects(self) -> list[tuple[int, str, np.ndarray]]:
        with Image.open(self.path) as file:
            size = (file.height, file.width)
        return [
            (number, name, decode_segmentation(code, *size))
            for number, (name, code) in enumerate(self.annotations, start=1)
        ]


class _AdePicture(_Picture):
    def __init__(self, path: Path, folder: AdeFolder, number: int) -> None:
        super().__init__(path)
        self.folder, self.number = folder, number

    def objects(self) -> list[tuple[int, str, np.ndarray]]:
        shot = self.folder.read(self.number)
        return [(index, name, mask) for index, (name, mask) in enumerate(zip(shot.names, shot.masks, strict=True), 1)]

    def sentences(self) -> list[tuple[str, list[int]]]:
        names = self.folder.read(self.number).names
        # Some classes have several names, as "bed, bunk"; the first is asked for.
        return [(f"the {name.split(',')[0]}", [index]) for index, name in enumerate(names, start=1)]


def read_pictures(folder: Path, with_sentences: bool = True) -> list[_Picture]:
    """The photographs of a folder, in the order of their names. Raises: see `PhotoRows`."""
    if not folder.is_dir():
        raise FileNotFoundError(f"`dataset` must be a folder of photographs, found none: {folder}")
    opened = open_folder(folder, "test")
    if isinstance(opened, AdeFolder):
        return [_AdePicture(path, opened, number) for number, path in enumerate(opened.files)]
    document = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in document["categories"]}
    by_image: dict[int, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        by_image.setdefault(annotation["image_id"], []).append(annotation)
    sentences = _read_sentences(folder) if with_sentences else {}
    if with_sentences and not sentences:
        raise UsageError(f"`dataset` needs {folder / 'sentences.json'}: [{{image_id, text, annotation_ids}}, ...]")
    pictures: list[_Picture] = []
    for image in sorted(document["images"], key=lambda image: image["file_name"]):
        annotations = by_image.get(image["id"], [])
        place = {annotation["id"]: number for number, annotation in enumerate(annotations, start=1)}
        told = sentences.get(image["id"], [])
        if with_sentences and not told:
            continue
        for text, ids in told:
            if strange := [number for number in ids if number not in place]:
                raise UsageError(f"`dataset` has a sentence about objects that are not there: {text!r}, {strange}")
        pictures.append(
            _CocoPicture(
                folder / "images" / image["file_name"],
                [(text, [place[number] for number in ids]) for text, ids in told],
                [(names[one["category_id"]], one["segmentation"]) for one in annotations],
                [bool(one.get("iscrowd")) for one in annotations],
            )
        )
    return pictures


def _read_sentences(folder: Path) -> dict[int, list[tuple[str, list[int]]]]:
    path = folder / "sentences.json"
    if not path.is_file():
        return {}
    found: dict[int, list[tuple[str, list[int]]]] = {}
    for number, entry in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        try:
            told = (str(entry["text"]), list(entry["annotation_ids"]))
            found.setdefault(entry["image_id"], []).append(told)
        except (TypeError, KeyError) as error:
            raise UsageError(f"{path}: entry {number} must have image_id, text and annotation_ids ({error})") from None
    return found
