"""FSS-1000: a thousand classes, ten pictures each, one mask a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..schema import Row, make_instance
from .base import Item, Plan, RowReader
from .coco import read_picture
from .pictures import decode_labels, fit_labels, picture_size
from .remarks import Remarks
from .source_tree import SourceTree

FOREGROUND = 128
"""Masks are stored in grey; this value and above are the object."""

_FOLDERS = ("fewshot_data/fewshot_data", "fewshot_data", "FSS-1000", ".")
_OFFICIAL = "fss_test_set.txt"
_LISTS = {"train": "trn.txt", "val": "val.txt", "test": "test.txt"}
_LIST_FOLDERS = (".", "splits", "splits/fss", "data/splits/fss")


@dataclass
class FssReader(RowReader):
    """The payload of an item is (class, picture's stem, class number)."""

    folder: str

    def row(self, item: Item, remarks: Remarks) -> Row | None:
        """See `base.RowReader`."""
        category, stem, number = item.payload
        picture, mask_file = (f"{self.folder}/{category}/{stem}{suffix}" for suffix in (".jpg", ".png"))
        try:
            size = picture_size(self.tree.read(picture))
        except OSError:
            size = (0, 0)
        found = read_picture(self.tree, [picture], size, remarks)
        if found is None:
            return None
        if not self.tree.is_file(mask_file):
            remarks.deviation("missing annotations", mask_file)
            return None
        labels = fit_labels(decode_labels(self.tree.read(mask_file), mask_file), size)
        if labels is None:
            remarks.deviation("masks of another size than their picture", mask_file)
            return None
        mask = labels >= (FOREGROUND if labels.max() > 1 else 1)
        if not mask.any():
            remarks.note("empty masks", mask_file)
        instance = make_instance(1, {0: mask}, category=category, category_id=number)
        return self.made(item, f"{category}/{stem}", size, {stem: found[0]}, [instance])


def plan_fss(tree: SourceTree, split: str, work: Path) -> Plan:
    """Splits by the lists `trn.txt`, `val.txt`, `test.txt`, or train and test by the authors' `fss_test_set.txt`."""

    def has_classes(folder: str) -> bool:
        return any(tree.is_file(f"{folder}/{name}/1.jpg") for name in tree.folders(folder)[:8])

    folder = next(filter(has_classes, _FOLDERS), None)
    if folder is None:
        raise FileNotFoundError(
            f"`source`: {tree.root} lacks folders of classes with 1.jpg and 1.png (looked in {', '.join(_FOLDERS)})"
        )
    classes = [name for name in tree.folders(folder) if tree.is_file(f"{folder}/{name}/1.jpg")]
    used, lists = _classes_of(tree, split, classes)
    remarks = Remarks()
    for name in sorted(set(used) - set(classes)):
        remarks.deviation("classes without a folder", name)
    numbers = {name: number for number, name in enumerate(classes)}
    items = [
        Item(f"{split}/{name}/{stem}", (name, stem, numbers[name]))
        for name in used
        if name in numbers
        for stem in _stems(tree, f"{folder}/{name}")
    ]
    return Plan(items, FssReader(tree, "fss-1000", split, "fss-1000", folder), lists, tree, remarks)


def _stems(tree: SourceTree, folder: str) -> list[str]:
    stems = [file[:-4] for file in tree.files(folder) if file.lower().endswith(".jpg")]
    return sorted(stems, key=lambda stem: (int(stem) if stem.isdecimal() else 0, stem))


def _classes_of(tree: SourceTree, split: str, classes: list[str]) -> tuple[list[str], list[str]]:
    """The classes of a split and the lists that say so."""
    own = tree.first([f"{folder}/{_LISTS[split]}" for folder in _LIST_FOLDERS])
    if own is not None:
        return sorted(_lines(tree, own)), [own]
    official = tree.first([f"{folder}/{_OFFICIAL}" for folder in (*_LIST_FOLDERS, "fewshot_data")])
    if official is None or split == "val":
        wanted = _LISTS[split] if split == "val" else f"{_LISTS[split]} or {_OFFICIAL}"
        raise FileNotFoundError(f"`source`: {tree.root} lacks {wanted}, the list of the classes of {split}")
    test = set(_lines(tree, official))
    return sorted(test) if split == "test" else [name for name in classes if name not in test], [official]


def _lines(tree: SourceTree, path: str) -> list[str]:
    return [line.strip() for line in tree.read(path).decode("utf-8").splitlines() if line.strip()]
