"""OVIS and MeViS: clips whose masks are run lengths in JSON files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..schema import Row, make_encoded_instance
from .base import Item, Plan, RowReader
from .coco import Categories
from .coco_masks import boxed_rle
from .json_index import AnnotationIndex, build_annotation_index, build_keyed_index, read_json
from .remarks import Remarks
from .source_tree import SourceTree
from .video_folders import read_frames
from .youtube_vos import expressions_of


def track_instance(
    number: int,
    segmentations: Sequence[Any],
    stems: Sequence[str],
    kept: Sequence[str],
    size: tuple[int, int],
    where: str,
    remarks: Remarks,
    **options: Any,
) -> dict[str, Any]:
    """An object from a list with a run-length code, or None, for each frame of the original, `stems`.

    The row has those of `kept`, of `size` (height, width). `options`: of `schema.make_encoded_instance`.
    """
    if len(segmentations) != len(stems):
        remarks.deviation("objects with another number of masks than frames", where)
    position = {stem: index for index, stem in enumerate(kept)}
    shown: dict[int, tuple[list[float], dict[str, Any]]] = {}
    for stem, code in zip(stems, segmentations, strict=False):
        if not code or stem not in position:
            continue
        if found := boxed_rle(code, size, f"{where}, frame {stem}", remarks):
            shown[position[stem]] = (found[0], {"png": None, "rle": found[1]})
    frames = sorted(shown)
    return make_encoded_instance(
        number, frames, [shown[frame][0] for frame in frames], [shown[frame][1] for frame in frames], **options
    )


@dataclass
class OvisReader(RowReader):
    """The payload of an item is the clip's id in the annotation file."""

    index: AnnotationIndex
    folders: Sequence[str]
    categories: Categories

    def row(self, item: Item, remarks: Remarks) -> Row | None:
        """See `base.RowReader`."""
        video = self.index.image(item.payload)
        assert video is not None
        names = [PurePosixPath(name) for name in video["file_names"]]
        clip, stems = str(names[0].parent), [name.stem for name in names]
        folder = self.tree.first([f"{parent}/{clip}" for parent in self.folders]) or f"{self.folders[0]}/{clip}"
        frames, size = read_frames(self.tree, folder, stems, remarks)
        if not frames:
            remarks.deviation("clips without frames", clip)
            return None
        if size != (int(video["height"]), int(video["width"])):
            remarks.deviation("pictures of another size than annotated", clip)
        instances = []
        for number, entry in enumerate(self.index.annotations(item.payload), 1):
            category_id, category = self.categories.get(int(entry["category_id"]), (-1, ""))
            instances.append(
                track_instance(
                    number,
                    entry["segmentations"],
                    stems,
                    list(frames),
                    size,
                    f"{clip} annotation {entry['id']}",
                    remarks,
                    category=category,
                    category_id=category_id,
                    is_crowd=bool(entry.get("iscrowd", 0)),
                    source_id=int(entry["id"]),
                )
            )
        annotated = [self.split == "train"] * len(frames)
        return self.made(item, clip, size, frames, instances, annotated=annotated)


def plan_ovis(tree: SourceTree, split: str, work: Path) -> Plan:
    """OVIS; splits train (annotated), valid and test (frames only)."""
    names = (f"annotations_{split}.json", f"annotations/annotations_{split}.json")
    folders = (split, f"images/{split}")
    found = tree.locate([names, folders], ("", "OVIS", "ovis"))
    file = found.first(names)
    assert file is not None
    index = build_annotation_index(found, file, work, of="video")
    remarks = Remarks()
    for video in index.lost_annotations():
        remarks.deviation("annotations of clips that are not listed", str(video))
    items = []
    for video_id in index.image_ids():
        entry = index.image(video_id)
        assert entry is not None
        items.append(Item(f"{split}/{PurePosixPath(entry['file_names'][0]).parent}", video_id))
    reader = OvisReader(found, "ovis", split, "ovis", index, folders, index.categories())
    return Plan(items, reader, [file], found, remarks)


@dataclass
class MevisReader(RowReader):
    """The payload of an item is (clip, stems of its frames, its sentences, annotation id by object id)."""

    index: AnnotationIndex | None

    def row(self, item: Item, remarks: Remarks) -> Row | None:
        """See `base.RowReader`."""
        clip, stems, sentences, annotations = item.payload
        frames, size = read_frames(self.tree, f"{self.split}/JPEGImages/{clip}", stems, remarks)
        if not frames:
            remarks.deviation("clips without frames", clip)
            return None
        instances = []
        for number, annotation in annotations.items():
            codes = None if self.index is None else self.index.entry(str(annotation))
            if codes is None:
                remarks.deviation("objects without an entry in mask_dict.json", f"{clip} annotation {annotation}")
            where = f"{clip} annotation {annotation}"
            instances.append(
                track_instance(number, codes or [None] * len(stems), stems, list(frames), size, where, remarks)
                | {"source_id": int(annotation)}
            )
        annotated = [self.index is not None] * len(frames)
        return self.made(item, clip, size, frames, instances, sentences, annotated)


def plan_mevis(tree: SourceTree, split: str, work: Path) -> Plan:
    """MeViS; splits train and valid_u (annotated), valid and test (sentences only).

    Objects are numbered from 1 in the order of their annotation ids.
    """
    expressions_file, masks_file = f"{split}/meta_expressions.json", f"{split}/mask_dict.json"
    needed = [f"{split}/JPEGImages", expressions_file]
    labelled = split in ("train", "valid_u")
    found = tree.locate([*needed, *([masks_file] if labelled else [])], ("", "mevis", "MeViS", "MeViS_release"))
    index = build_keyed_index(found, masks_file, work) if labelled else None
    items = []
    for clip, video in sorted(read_json(found, expressions_file)["videos"].items()):
        meant = {a for number in video["expressions"] if labelled for a in _annotation_ids(video, int(number))}
        numbers = {annotation: number for number, annotation in enumerate(sorted(meant), 1)}
        sentences = [
            entry | {"object_ids": [numbers[annotation] for annotation in _annotation_ids(video, entry["source_id"])]}
            if labelled
            else entry | {"object_ids": [], "labelled": False}
            for entry in expressions_of(video)
        ]
        annotations = {number: annotation for annotation, number in numbers.items()}
        items.append(Item(f"{split}/{clip}", (clip, sorted(video["frames"]), sentences, annotations)))
    files = [expressions_file, *([masks_file] if labelled else [])]
    return Plan(items, MevisReader(found, "mevis", split, "mevis", index), files, found)


def _annotation_ids(video: Mapping[str, Any], expression: int) -> list[int]:
    return [int(number) for number in video["expressions"][str(expression)].get("anno_id", [])]
