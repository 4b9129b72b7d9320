"""The procedural world in the common schema (`datasets/schema.py`): the same rows train any task that they allow.

Stills serve detection, referring segmentation and few-shot segmentation (the shapes are the categories), clips serve
both video tasks. Needs the package `datasets` (extra `data`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import UsageError
from ...core.optional import require
from ...datasets.schema import Row, features, make_instance, make_row
from .world import NAMED_SHAPES, NOVEL_SHAPES, World

if TYPE_CHECKING:
    from datasets import Dataset, IterableDataset

CATEGORIES = (*NAMED_SHAPES, *NOVEL_SHAPES)
"""The shapes by their category id."""

KINDS = ("stills", "clips")


def _category(shape: str) -> dict[str, Any]:
    return {"category": shape, "category_id": CATEGORIES.index(shape) if shape in CATEGORIES else -1}


def still_row(world: World, index: int) -> Row:
    """Row of the still scene `index`: objects with masks, their sentences, and sentences true of none."""
    scene = world.image(index)
    instances = [
        make_instance(number, {0: mask}, **_category(item["shape"]))
        for number, (mask, item) in enumerate(zip(scene["masks"], scene["objects"], strict=True), start=1)
    ]
    sentences = [(text, [number]) for number, group in enumerate(scene["sentences"], start=1) for text in group]
    sentences += [(text, []) for text in scene["absent_sentences"]]
    name = f"world-still-{world.split}-{world.seed}-{index}"
    return make_row(name, [scene["image"]], instances, sentences, source="world", split=world.split)


def generalised_row(world: World, index: int, sample_id: str) -> Row:
    """Row of the still scene `index` with its sentences about none, one and many objects.

    Beyond the schema it has `sentence_kinds`, of `GENERALISED_KINDS`.
    """
    scene = world.image(index, generalised=True)
    instances = [
        make_instance(number, {0: mask}, **_category(item["shape"]))
        for number, (mask, item) in enumerate(zip(scene["masks"], scene["objects"], strict=True), start=1)
    ]
    sentences = [(one.text, [number + 1 for number in one.numbers]) for one in scene["generalised"]]
    row = make_row(sample_id, [scene["image"]], instances, sentences, source="world-generalised", split=world.split)
    return row | {"sentence_kinds": [one.kind for one in scene["generalised"]]}


def clip_row(world: World, index: int, frames: int) -> Row:
    """Row of the clip `index`."""
    scene = world.clip(index, frames)
    labels = scene["label_maps"]
    instances = [
        make_instance(number, {t: labels[t] == number for t in np.flatnonzero(shown).tolist()}, **_category(shape))
        for number, shown in scene["visible"].items()
        for shape in [scene["objects"][number]["shape"]]
    ]
    sentences = [(text, [number]) for number, group in scene["sentences"].items() for text in group]
    sentences += [(text, []) for text in scene["absent_sentences"]]
    name = f"world-clip-{world.split}-{world.seed}-{index}"
    names = [f"{t:05d}" for t in range(frames)]
    pictures = list(scene["frames"])
    return make_row(name, pictures, instances, sentences, source="world", split=world.split, frame_names=names)


def _rows(kind: str, split: str, indices: list[range], seed: int, size: int, frames: int) -> Iterator[Row]:
    world = World(split, size, seed)
    for part in indices:
        for index in part:
            yield still_row(world, index) if kind == "stills" else clip_row(world, index, frames)


def _check(kind: str, n: int) -> None:
    if kind not in KINDS:
        raise UsageError(f"kind: got {kind!r}; accepted: {', '.join(KINDS)}")
    if n < 1:
        raise UsageError(f"n: got {n}; at least 1 is needed")


def world_dataset(
    kind: str, split: str, n: int, seed: int = 0, size: int = 128, frames: int = 8, cache_dir: str | None = None
) -> Dataset:
    """The first `n` scenes as a map-style dataset, kept in the cache of `datasets`.

    Args:
        kind: "stills" or "clips".
        split: "train", "validation" or "test".
        n: number of scenes.
        seed: seed of the world.
        size: side of the pictures in pixels.
        frames: frames a clip.
        cache_dir: where the rows are kept; `None` for the cache of `datasets`.
    """
    require("datasets", "data", "a world as a dataset")
    from datasets import Dataset

    _check(kind, n)
    World(split, size, seed)  # checks its arguments before a cache is opened
    options = {"kind": kind, "split": split, "indices": [range(n)], "seed": seed, "size": size, "frames": frames}
    return Dataset.from_generator(_rows, features=features(), cache_dir=cache_dir, gen_kwargs=options)


def world_stream(
    kind: str, split: str, n: int, seed: int = 0, size: int = 128, frames: int = 8, shards: int = 8
) -> IterableDataset:
    """The first `n` scenes as a streaming dataset of `shards` shards, drawn as they are read.

    Args:
        shards: parts that processes and workers can share; at most `n`.
        kind, split, n, seed, size, frames: as in [`world_dataset`].
    """
    require("datasets", "data", "a world as a dataset")
    from datasets import IterableDataset

    _check(kind, n)
    World(split, size, seed)
    parts = [range(start, n, min(shards, n)) for start in range(min(shards, n))]
    options = {"kind": kind, "split": split, "indices": parts, "seed": seed, "size": size, "frames": frames}
    return IterableDataset.from_generator(_rows, features=features(), gen_kwargs=options)
