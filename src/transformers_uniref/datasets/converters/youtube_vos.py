"""YouTube-VOS 2018 and 2019, and Refer-YouTube-VOS (sentences for the clips of 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .base import Item, Plan
from .json_index import read_json
from .remarks import Remarks
from .source_tree import SourceTree
from .video_folders import Clip, ClipReader

COLLECTION = "youtube-vos"


def plan_youtube_vos(year: str, tree: SourceTree, split: str, work: Path) -> Plan:
    """Splits train (every frame annotated), valid and test (the first mask of each object)."""
    needed = [f"{split}/JPEGImages", f"{split}/meta.json", f"{split}/Annotations"]
    found = tree.locate(needed, ("", f"YouTube-VOS-{year}", f"ytvos_{year}", "YouTube-VOS", "youtube-vos"))
    return plan_listed(found, f"youtube-vos-{year}", COLLECTION, split, "meta", dense=split == "train", named=True)


def plan_listed(
    tree: SourceTree, name: str, collection: str, split: str, meta: str, *, dense: bool, named: bool
) -> Plan:
    """Clips whose objects are listed in `SPLIT/{meta}.json`, with their categories (`named`) or without."""
    meta_file = f"{split}/{meta}.json"
    videos: dict[str, Any] = read_json(tree, meta_file)["videos"]
    listed = {
        clip: _categories(video) if named else {int(number): "" for number in video["objects"]}
        for clip, video in sorted(videos.items())
    }
    remarks = Remarks()
    for clip in sorted(set(tree.folders(f"{split}/JPEGImages")) - set(listed)):
        remarks.deviation("clips that the meta file does not list", clip)
    reader = ClipReader(
        tree,
        name,
        split,
        collection,
        f"{split}/JPEGImages",
        f"{split}/Annotations",
        dense=dense,
        listed_objects=True,
        category_names=_names(listed) if named else (),
    )
    items = [Item(f"{split}/{clip}", Clip(clip, None, categories)) for clip, categories in listed.items()]
    return Plan(items, reader, [meta_file], tree, remarks)


def _categories(video: Mapping[str, Any]) -> dict[int, str]:
    return {int(number): str(entry["category"]) for number, entry in video["objects"].items()}


def _names(categories: Mapping[str, Mapping[int, str]]) -> tuple[str, ...]:
    return tuple(sorted({name for of_clip in categories.values() for name in of_clip.values()}))


def plan_ref_youtube_vos(tree: SourceTree, split: str, work: Path) -> Plan:
    """Splits train, valid and test.

    The file of valid lists the clips of test too, which the file of test names; they are left out of valid. Sentences
    of valid and test do not say which object they mean.
    """
    expressions_file = f"meta_expressions/{split}/meta_expressions.json"
    needed = [expressions_file, f"{split}/JPEGImages"]
    if split == "train":
        needed += ["train/Annotations", "train/meta.json"]
    elif split == "valid":
        needed.append("meta_expressions/test/meta_expressions.json")
    found = tree.locate(needed, ("", "ref-youtube-vos", "refer_youtube_vos", "Refer-YouTube-VOS"))
    videos: dict[str, Any] = read_json(found, expressions_file)["videos"]
    files, remarks = [expressions_file], Remarks()
    if split == "valid":
        other = "meta_expressions/test/meta_expressions.json"
        for name in read_json(found, other)["videos"]:
            if videos.pop(name, None) is not None:
                remarks.note("clips of test that the file of valid lists, left out", name)
        files.append(other)
    categories: dict[str, dict[int, str]] = {}
    if split == "train":
        objects = read_json(found, "train/meta.json")["videos"]
        categories = {name: _categories(video) for name, video in objects.items()}
        files.append("train/meta.json")
    items = [
        Item(f"{split}/{name}", Clip(name, tuple(video["frames"]), categories.get(name, {}), expressions_of(video)))
        for name, video in sorted(videos.items())
    ]
    reader = ClipReader(
        found,
        "ref-youtube-vos",
        split,
        COLLECTION,
        f"{split}/JPEGImages",
        "train/Annotations" if split == "train" else None,
        listed_objects=split == "train",
        category_names=_names(categories),
    )
    return Plan(items, reader, files, found, remarks)


def expressions_of(video: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sentences of an entry of `meta_expressions.json`, in the order of their numbers."""
    sentences = []
    for number, entry in sorted(video["expressions"].items(), key=lambda pair: int(pair[0])):
        meant = entry.get("obj_id")
        ids = [] if meant is None else [int(n) for n in (meant if isinstance(meant, list) else [meant])]
        sentences.append(
            {"text": str(entry["exp"]), "object_ids": ids, "source_id": int(number), "labelled": meant is not None}
        )
    return sentences
