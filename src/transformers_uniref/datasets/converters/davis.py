"""DAVIS 2016 and 2017, and Ref-DAVIS17: their sentences by four annotators."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ...core.errors import UsageError
from .base import Item, Plan, check_unique
from .json_index import read_json
from .remarks import Remarks
from .source_tree import SourceTree
from .video_folders import Clip, ClipReader
from .youtube_vos import expressions_of

COLLECTION = "davis"
BASES = ("", "DAVIS", "trainval", "DAVIS/DAVIS")
ANNOTATORS = (
    ("Davis17_annot1.txt", "utf-8"),
    ("Davis17_annot1_full_video.txt", "utf-8"),
    ("Davis17_annot2.txt", "latin-1"),
    ("Davis17_annot2_full_video.txt", "latin-1"),
)
"""Two people, each from the first frame and from the whole clip: annotators 0 to 3, in the order of evaluation."""

MISSPELT = {"clasic-car": "classic-car", "dog-scale": "dogs-scale", "motor-bike": "motorbike"}
"""Clips under other names in the files of sentences than in DAVIS."""

_SENTENCE_LINE = re.compile(r'^(\S+)\s+(\d+)\s+"?(.*?)"?\s*$')


def _list_clips(tree: SourceTree, path: str) -> list[str]:
    """Clips of a list, of names (2017) or of pairs "/JPEGImages/480p/bear/00000.jpg /Annotations/..." (2016)."""
    names: list[str] = []
    for line in tree.read(path).decode("utf-8").split("\n"):
        first = line.split()[0] if line.strip() else ""
        name = first.strip("/").split("/")[-2] if "/" in first else first
        if name and not ("/" in first and names and names[-1] == name):
            names.append(name)
    check_unique(names, f"in {tree.name(path)}, the clip")
    return names


def plan_davis(name: str, year: str, annotations: str, tree: SourceTree, split: str, work: Path) -> Plan:
    """One of the data sets at 480p; only the first mask of the test splits is public.

    Of `year` "2016" a clip has one object, all labels together, and its list has pairs of paths; of others, names.
    """
    file = f"{split.replace('_', '-')}.txt"
    lists = [f"ImageSets/{year}/{file}"] + ([f"ImageSets/480p/{file}"] if year == "2016" else [])
    found = tree.locate(["JPEGImages/480p", f"{annotations}/480p", lists], BASES)
    list_file = found.first(lists)
    assert list_file is not None
    items = [Item(f"{split}/{clip}", Clip(clip)) for clip in _list_clips(found, list_file)]
    dense = not split.startswith("test")
    masks = f"{annotations}/480p"
    reader = ClipReader(found, name, split, COLLECTION, "JPEGImages/480p", masks, dense=dense, binary=year == "2016")
    return Plan(items, reader, [list_file], found)


def plan_ref_davis(tree: SourceTree, split: str, work: Path) -> Plan:
    """Splits train and val: from the authors' text files beside DAVIS 2017, or from the form of YouTube-VOS.

    In the second, sentence 4 k + a of a clip is annotator a's about its k-th object.
    """
    folder = "valid" if split == "val" else split
    converted = f"meta_expressions/{folder}/meta_expressions.json"
    base = next((name for name in ("", "ref-davis") if tree.below(name).is_file(converted)), None)
    if base is not None:
        return _plan_converted(tree.below(base), converted, folder, split)
    text_base = next((b for b in ("", "ref-davis") if tree.below(b).exists("davis_text_annotations")), "")
    texts = tree.below(text_base)
    texts.locate([f"davis_text_annotations/{name}" for name, _ in ANNOTATORS])
    lists = f"ImageSets/2017/{split}.txt"
    masks = ("Annotations_unsupervised/480p", "Annotations/480p")
    found = texts.locate(["JPEGImages/480p", masks, lists], BASES)
    remarks = Remarks()
    clips = _list_clips(found, lists)
    sentences = _read_texts(texts, remarks)
    for clip in clips:
        _check_annotators(clip, sentences.get(clip, []), remarks)
    items = [Item(f"{split}/{clip}", Clip(clip, None, {}, sentences.get(clip, []))) for clip in clips]
    mask_folder = found.first(masks)
    reader = ClipReader(found, "ref-davis-2017", split, COLLECTION, "JPEGImages/480p", mask_folder)
    files = [texts.full(f"davis_text_annotations/{name}") for name, _ in ANNOTATORS]
    return Plan(items, reader, [*files, found.full(lists)], tree, remarks)


def _plan_converted(tree: SourceTree, expressions_file: str, folder: str, split: str) -> Plan:
    tree.locate([expressions_file, f"{folder}/JPEGImages", f"{folder}/Annotations"])
    remarks = Remarks()
    items = []
    for clip, video in sorted(read_json(tree, expressions_file)["videos"].items()):
        sentences = expressions_of(video)
        for sentence in sentences:
            sentence["annotator"] = sentence["source_id"] % len(ANNOTATORS)
        _check_annotators(clip, sentences, remarks)
        items.append(Item(f"{split}/{clip}", Clip(clip, tuple(video["frames"]), {}, sentences)))
    reader = ClipReader(tree, "ref-davis-2017", split, COLLECTION, f"{folder}/JPEGImages", f"{folder}/Annotations")
    return Plan(items, reader, [expressions_file], tree, remarks)


def _read_texts(tree: SourceTree, remarks: Remarks) -> dict[str, list[dict[str, Any]]]:
    """Sentences by clip: the objects in order, and of each the annotators in order.

    The numbers (`source_id`) are those that the form of YouTube-VOS gives them.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for annotator, (name, encoding) in enumerate(ANNOTATORS):
        path = f"davis_text_annotations/{name}"
        for number, line in enumerate(tree.read(path).decode(encoding).splitlines(), 1):
            if not line.strip():
                continue
            match = _SENTENCE_LINE.match(line.strip())
            if match is None:
                raise UsageError(
                    f'`source`: {tree.name(path)}, line {number}: expected CLIP ID "SENTENCE", got {line!r}'
                )
            clip = MISSPELT.get(match[1], match[1])
            if clip != match[1]:
                remarks.note("misspelt clips in the files of sentences, put right", match[1])
            entry = {"text": match[3], "object_ids": [int(match[2])], "annotator": annotator}
            found.setdefault(clip, []).append(entry)
    for sentences in found.values():
        sentences.sort(key=lambda entry: (entry["object_ids"], entry["annotator"]))
        objects = sorted({entry["object_ids"][0] for entry in sentences})
        for entry in sentences:
            entry["source_id"] = len(ANNOTATORS) * objects.index(entry["object_ids"][0]) + entry["annotator"]
    return found


def _check_annotators(clip: str, sentences: list[dict[str, Any]], remarks: Remarks) -> None:
    """Every annotator must describe every object once."""
    objects = sorted({tuple(entry["object_ids"]) for entry in sentences})
    if not objects:
        remarks.deviation("clips without sentences", clip)
    for ids in objects:
        annotators = sorted(entry["annotator"] for entry in sentences if tuple(entry["object_ids"]) == ids)
        if annotators != list(range(len(ANNOTATORS))):
            remarks.deviation("objects that not each of the four annotators describes once", f"{clip} object {ids[0]}")
