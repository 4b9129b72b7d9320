"""RefCOCO, RefCOCO+ and RefCOCOg from the pickles of their authors, and gRefCOCO from its JSON file.

A row is a picture with the objects that its sentences mean. Pictures are those of COCO train2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import UsageError
from ..schema import Row
from .base import Item, Plan, RowReader, check_unique
from .coco import Categories, coco_instance, read_picture
from .json_index import AnnotationIndex, build_annotation_index, read_json
from .remarks import Remarks
from .safe_pickle import load_plain_pickle
from .source_tree import SourceTree

IMAGE_FOLDERS = (
    "images/mscoco/images/train2014",
    "images/train2014",
    "mscoco/images/train2014",
    "train2014",
    "images",
)
NO_TARGET = -1


@dataclass
class ReferReader(RowReader):
    """Rows of a referring data set; the payload of an item is (picture id, its references)."""

    index: AnnotationIndex
    categories: Categories

    def row(self, item: Item, remarks: Remarks) -> Row | None:
        """See `base.RowReader`."""
        image_id, references = item.payload
        image = self.index.image(image_id)
        if image is None:
            remarks.deviation("pictures that instances.json does not list", str(image_id))
            return None
        paths = [f"{folder}/{image['file_name']}" for folder in IMAGE_FOLDERS]
        found = read_picture(self.tree, paths, (int(image["height"]), int(image["width"])), remarks)
        if found is None:
            return None
        frame, size = found
        annotations = {int(entry["id"]): entry for entry in self.index.annotations(image_id)}
        wanted = sorted({number for reference in references for number in annotation_ids(reference)})
        numbers = {annotation: number for number, annotation in enumerate(wanted, 1) if annotation in annotations}
        instances = [
            coco_instance(annotations[annotation], number, size, self.categories, remarks)
            for annotation, number in numbers.items()
        ]
        sentences = []
        for reference in references:
            meant = annotation_ids(reference)
            if not numbers.keys() >= set(meant):
                remarks.deviation("references to annotations that are not there", f"reference {reference['ref_id']}")
                continue
            for sentence in reference["sentences"]:
                entry = {"text": str(sentence["sent"]), "object_ids": [numbers[number] for number in meant]}
                sentences.append(entry | {"source_id": int(sentence["sent_id"])})
        name = str(image["file_name"]).rsplit(".", 1)[0]
        return self.made(item, image_id, size, {name: frame}, instances, sentences)


def annotation_ids(reference: Mapping[str, Any]) -> list[int]:
    """The COCO annotations that a reference means; none: it is true of nothing (gRefCOCO writes -1)."""
    ids = reference["ann_id"]
    ids = list(ids) if isinstance(ids, (list, tuple)) else [ids]
    return [int(number) for number in ids if int(number) != NO_TARGET]


def plan_refer(name: str, folder: str, file: str, tree: SourceTree, split: str, work: Path) -> Plan:
    """One data set of the family, whose `folder` has `instances.json` and the references, a pickle or JSON."""
    references_file, instances_file = f"{folder}/{file}", f"{folder}/instances.json"
    found = tree.locate([references_file, instances_file, IMAGE_FOLDERS], ("", "data", "refer/data"))
    where = found.name(references_file)
    if file.endswith(".json"):
        references = read_json(found, references_file)
    else:
        references = load_plain_pickle(found.read(references_file), where)
    _check_references(references, where)
    index = build_annotation_index(found, instances_file, work)
    by_image: dict[int, list[dict[str, Any]]] = {}
    for reference in references:
        if reference["split"] == split:
            by_image.setdefault(int(reference["image_id"]), []).append(reference)
    if not by_image:
        there = sorted({str(reference["split"]) for reference in references})
        raise FileNotFoundError(f"`split`: {where} has no reference of the split {split!r}; it has {', '.join(there)}")
    check_unique([str(reference["ref_id"]) for reference in references], "ref_id")
    check_unique([str(sentence["sent_id"]) for r in references for sentence in r["sentences"]], "sent_id")
    items = [
        Item(f"{split}/{image_id}", (image_id, [_slim(entry) for entry in group]))
        for image_id, group in by_image.items()
    ]
    reader = ReferReader(found, name, split, "coco", index, index.categories())
    held_out = sorted({int(entry["image_id"]) for entry in references if entry["split"] != "train"})
    return Plan(
        items,
        reader,
        [references_file, instances_file],
        found,
        held_out={name: [f"coco:{image_id}" for image_id in held_out]},
    )


def _slim(reference: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker needs of a reference."""
    sentences = [{"sent": sentence["sent"], "sent_id": int(sentence["sent_id"])} for sentence in reference["sentences"]]
    return {"ref_id": int(reference["ref_id"]), "ann_id": annotation_ids(reference), "sentences": sentences}


def _check_references(references: Any, where: str) -> None:
    if not isinstance(references, list) or not references or not isinstance(references[0], dict):
        raise UsageError(f"`source`: {where} must hold a list of references, got {type(references).__name__}")
    for reference in references:
        missing = sorted({"ref_id", "ann_id", "image_id", "split", "sentences"} - reference.keys())
        if missing:
            raise UsageError(f"`source`: {where}: a reference lacks {', '.join(missing)}")
