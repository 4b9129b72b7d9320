"""Miniatures of benchmarks to be measured on, one for each task, and the tiny model that is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from converter_support import UNC, clip, convert, davis, grey_png, jpeg, put, refer, reference, square

TEXTS = {
    "Davis17_annot1.txt": 'camel 1 "a dog"\ncamel 2 "a cat"\n',
    "Davis17_annot1_full_video.txt": 'camel 1 "the dog"\ncamel 2 "the red cat"\n',
    "Davis17_annot2.txt": 'camel 1 "dog on the left"\ncamel 2 "cat right"\n',
    "Davis17_annot2_full_video.txt": 'camel 1 "a dog"\ncamel 2 "the cat"\n',
}
ORIGINAL_MASKS = "DAVIS/Annotations/480p"


def refcoco(root: Path) -> Path:
    more = [reference(4, 7, 72, "val", "right dog", "the dog on the right")]
    convert("refcoco", refer(root / "source", [*UNC, *more]), root / "refcoco")
    return root / "refcoco"


def grefcoco(root: Path) -> Path:
    references = [
        reference(0, 7, [71, 72], "val", "the dog", "a dog"),
        reference(1, 8, [-1], "val", "the cat"),
        reference(2, 9, [91], "train", "a dog"),
    ]
    source = refer(root / "gsource", references, "grefcoco", "grefs(unc).json")
    convert("grefcoco", source, root / "grefcoco", "val")
    return root / "grefcoco"


def fss(root: Path) -> Path:
    files: dict[str, Any] = {"fss_test_set.txt": "bus\ncat\n"}
    for place, name in enumerate(("abacus", "bus", "cat")):
        for number in (1, 2, 3):
            files[f"fewshot_data/{name}/{number}.jpg"] = jpeg(value=30 * number + place)
            files[f"fewshot_data/{name}/{number}.png"] = grey_png(square(number, 2 * number) * 255)
    convert("fss-1000", put(root / "fsource", files), root / "fss", "test")
    return root / "fss"


def davis_source(root: Path) -> Path:
    """DAVIS 2017 with three clips for validation, and the sentences of Ref-DAVIS17 about one of them."""
    source = davis(root / "dsource")
    for name, column in (("goat", 2), ("swan", 8)):
        labels = {f"{n:05d}": square(n, column) for n in range(4)}
        files = clip("JPEGImages/480p", "Annotations/480p", name, labels)
        put(source / "DAVIS", files)
    put(source / "DAVIS", {"ImageSets/2017/val.txt": "camel\ngoat\nswan\n"})
    return source


def davis_2017(root: Path) -> Path:
    convert("davis-2017", davis_source(root), root / "davis", "val")
    return root / "davis"


def ref_davis(root: Path) -> Path:
    source = davis_source(root)
    put(source, {f"davis_text_annotations/{name}": text.encode() for name, text in TEXTS.items()})
    put(source / "DAVIS", {"ImageSets/2017/val.txt": "camel\n"})
    convert("ref-davis-2017", source, root / "ref-davis", "val")
    return root / "ref-davis"


def mose(root: Path) -> Path:
    labels = {"00000": square(1, 1) + square(6, 9, number=3), "00001": None, "00002": None}
    files = clip("valid/JPEGImages", "valid/Annotations", "aaaa", labels)
    convert("mose", put(root / "msource", files), root / "mose", "valid")
    return root / "mose"


def ref_youtube(root: Path) -> Path:
    expressions = {"0": {"exp": "a dog"}, "1": {"exp": "the red car"}}
    entry = {"expressions": expressions, "frames": ["00000", "00005"]}
    files: dict[str, Any] = {"meta_expressions/test/meta_expressions.json": {"videos": {}}}
    files["meta_expressions/valid/meta_expressions.json"] = {"videos": {"v": entry}}
    files |= {f"valid/JPEGImages/v/{name}.jpg": jpeg() for name in entry["frames"]}
    convert("ref-youtube-vos", put(root / "rsource", files), root / "ryt", "valid")
    return root / "ryt"


def sequences(root: Path) -> Path:
    """The layout of `davis-like`, with masks of 0 and 255."""
    files: dict[str, Any] = {}
    for name in ("one", "two"):
        for number in range(4):
            files[f"{name}/frames/{number:05d}.jpg"] = jpeg(value=40 + number)
            files[f"{name}/masks/{number:05d}.png"] = grey_png((square(number, 3) * 255).astype(np.uint8))
    return put(root / "sequences", files)
