"""LVOS (v1, v2) and MOSE: clips with label maps, of test splits only the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .base import Item, Plan
from .json_index import read_json
from .remarks import Remarks
from .source_tree import SourceTree
from .video_folders import Clip, ClipReader


def plan_lvos(version: str, tree: SourceTree, split: str, work: Path) -> Plan:
    """LVOS of "v1" or "v2"; splits train, val and test. Frames have names of eight digits."""
    meta_file = f"{split}/{split}_meta.json"
    needed = [f"{split}/JPEGImages", f"{split}/Annotations", meta_file]
    bases = ("", "LVOS", f"LVOS_{version}", f"LVOS{version}", f"lvos_{version}")
    found = tree.locate(needed, bases)
    videos: dict[str, Any] = read_json(found, meta_file)["videos"]
    remarks = Remarks()
    for name in sorted(set(found.folders(f"{split}/JPEGImages")) - set(videos)):
        remarks.deviation("clips that the meta file does not list", name)
    items = [
        Item(f"{split}/{name}", Clip(name, None, {int(number): "" for number in video["objects"]}))
        for name, video in sorted(videos.items())
    ]
    reader = ClipReader(
        found,
        f"lvos-{version}",
        split,
        "lvos",
        f"{split}/JPEGImages",
        f"{split}/Annotations",
        dense=split != "test",
        listed_objects=True,
    )
    return Plan(items, reader, [meta_file], remarks, tree=found)


def plan_mose(tree: SourceTree, split: str, work: Path) -> Plan:
    """MOSE; splits train (every frame annotated) and valid (the first)."""
    needed = [f"{split}/JPEGImages", f"{split}/Annotations"]
    found = tree.locate(needed, ("", "MOSE", "MOSE_release", "mose"))
    remarks = Remarks()
    clips, annotated = (set(found.folders(f"{split}/{name}")) for name in ("JPEGImages", "Annotations"))
    for name in sorted(clips ^ annotated):
        remarks.deviation("clips with frames or annotations only", name)
    items = [Item(f"{split}/{name}", Clip(name)) for name in sorted(clips)]
    reader = ClipReader(
        found, "mose", split, "mose", f"{split}/JPEGImages", f"{split}/Annotations", dense=split == "train"
    )
    return Plan(items, reader, [], remarks, tree=found)
