"""LVOS (v1, v2) and MOSE: clips with label maps, of test splits only the first."""

from __future__ import annotations

from pathlib import Path

from .base import Item, Plan
from .remarks import Remarks
from .source_tree import SourceTree
from .video_folders import Clip, ClipReader
from .youtube_vos import plan_listed


def plan_lvos(version: str, tree: SourceTree, split: str, work: Path) -> Plan:
    """LVOS of "v1" or "v2"; splits train, val and test. Frames have names of eight digits."""
    needed = [f"{split}/JPEGImages", f"{split}/Annotations", f"{split}/{split}_meta.json"]
    bases = ("", "LVOS", f"LVOS_{version}", f"LVOS{version}", f"lvos_{version}")
    found = tree.locate(needed, bases)
    return plan_listed(found, f"lvos-{version}", "lvos", split, f"{split}_meta", dense=split != "test", named=False)


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
    return Plan(items, reader, [], found, remarks)
