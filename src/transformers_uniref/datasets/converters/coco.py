"""COCO 2014 and 2017, and Objects365 v2: pictures with boxes (and masks) of many objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..schema import Row, make_encoded_instance
from .base import Item, Plan, RowReader
from .coco_masks import boxed_rle, corner_box
from .json_index import AnnotationIndex, build_annotation_index
from .pictures import picture_size
from .remarks import Remarks
from .source_tree import SourceTree

Categories = Mapping[int, tuple[int, str]]


def coco_instance(
    annotation: Mapping[str, Any], number: int, size: tuple[int, int], categories: Categories, remarks: Remarks
) -> dict[str, Any]:
    """An annotation of COCO as an instance of the schema, on a picture of `size` (height, width).

    An object whose mask is empty shows in no frame; so does one without a mask whose box is empty.
    """
    where = f"annotation {annotation.get('id')} of picture {annotation.get('image_id')}"
    box = corner_box(annotation.get("bbox"), size)
    masks: list[dict[str, Any]] = []
    if annotation.get("segmentation") is not None:
        found = boxed_rle(annotation["segmentation"], size, where, remarks)
        masks = [] if found is None else [{"png": None, "rle": found[1]}]
        box = None if found is None else box or found[0]
    elif box is None:
        remarks.note("empty boxes", where)
    category_id, category = categories.get(int(annotation["category_id"]), (-1, ""))
    if category_id < 0:
        remarks.deviation("unknown categories", where)
    return make_encoded_instance(
        number,
        [] if box is None else [0],
        [] if box is None else [box],
        masks,
        category=category,
        category_id=category_id,
        is_crowd=bool(annotation.get("iscrowd", 0)),
        source_id=int(annotation.get("id", -1)),
    )


def read_picture(
    tree: SourceTree, paths: Sequence[str], expected: tuple[int, int], remarks: Remarks
) -> tuple[dict[str, Any], tuple[int, int]] | None:
    """The first of `paths` that is there, as an encoded frame with its size; None, with a deviation, without one."""
    path = tree.first(paths)
    if path is None:
        remarks.deviation("missing pictures", paths[0])
        return None
    data = tree.read(path)
    try:
        size = picture_size(data)
    except OSError:
        remarks.deviation("unreadable pictures", path)
        return None
    if size != expected:
        remarks.deviation("pictures of another size than annotated", path)
    return {"bytes": data, "path": PurePosixPath(path).name}, size


@dataclass
class CocoReader(RowReader):
    """Rows of a detection data set; the payload of an item is the picture's id."""

    index: AnnotationIndex
    folders: Sequence[str]
    categories: Categories

    def row(self, item: Item, remarks: Remarks) -> Row | None:
        """See `base.RowReader`."""
        image = self.index.image(item.payload)
        assert image is not None
        name = PurePosixPath(image["file_name"])
        paths = [str(PurePosixPath(folder, *name.parts[-depth:])) for folder in self.folders for depth in (1, 2, 4)]
        found = read_picture(self.tree, paths, (int(image["height"]), int(image["width"])), remarks)
        if found is None:
            return None
        frame, size = found
        instances = [
            coco_instance(annotation, number, size, self.categories, remarks)
            for number, annotation in enumerate(self.index.annotations(item.payload), 1)
        ]
        return self.made(item, item.payload, size, {name.stem: frame}, instances)


def _plan(
    tree: SourceTree, annotations: str, folders: Sequence[str], work: Path, split: str, source: str, collection: str
) -> Plan:
    index = build_annotation_index(tree, annotations, work)
    remarks = Remarks()
    for image_id in index.lost_annotations():
        remarks.deviation("annotations of pictures that are not listed", str(image_id))
    for annotation_id in index.doubled_annotations():
        remarks.deviation("annotation ids that come twice", str(annotation_id))
    items = [Item(f"{split}/{image_id}", image_id) for image_id in index.image_ids()]
    reader = CocoReader(tree, source, split, collection, index, folders, index.categories())
    return Plan(items, reader, [annotations], tree, remarks)


def plan_coco(year: str, tree: SourceTree, split: str, work: Path) -> Plan:
    """COCO of "2014" or "2017"; splits train and val."""
    annotations = f"annotations/instances_{split}{year}.json"
    folders = (f"{split}{year}", f"images/{split}{year}")
    found = tree.locate([annotations, folders], ("", "coco", f"coco{year}"))
    return _plan(found, annotations, folders, work, split, f"coco-{year}", "coco")


def plan_objects365(tree: SourceTree, split: str, work: Path) -> Plan:
    """Objects365 v2; splits train and val. Pictures lie in `patch*` folders."""
    name = f"zhiyuan_objv2_{split}.json"
    choices = (f"annotations/{name}", name, f"{split}/{name}")
    folders = (split, f"{split}/images", f"images/{split}", "images", ".")
    found = tree.locate([choices, folders[:-1]], ("", "objects365", "Objects365v2", "objects365v2"))
    annotations = found.first(choices)
    assert annotations is not None
    return _plan(found, annotations, folders, work, split, "objects365", "objects365")
