"""The procedural world as `datasets.Dataset` objects with documented features, one function a task.

The rows are those of [`World`], in the order of its indices: two calls with equal arguments give equal datasets, and
the cache of `datasets` keeps them. Masks and label maps are single-channel pictures: masks hold 0 and 255, label maps
hold object ids with 0 for the background. Needs the package `datasets` (extra `data`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ...core.errors import UsageError
from ...core.optional import require
from .world import World

if TYPE_CHECKING:
    from datasets import Dataset

Row = dict[str, Any]


def _picture(array: np.ndarray) -> Image.Image:
    return Image.fromarray(array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array)


def _pictures(arrays: np.ndarray) -> list[Image.Image]:
    return [_picture(array) for array in arrays]


def _ris_rows(split: str, n: int, seed: int, size: int) -> Iterator[Row]:
    world = World(split, size, seed)
    for index in range(n):
        scene = world.image(index)
        yield {
            "image": _picture(scene["image"]),
            "masks": _pictures(scene["masks"]),
            "sentences": scene["sentences"],
            "sentence_kinds": scene["sentence_kinds"],
            "absent_sentences": scene["absent_sentences"],
        }


def _fss_rows(split: str, n: int, seed: int, size: int, shots: int, novel: bool, family: str) -> Iterator[Row]:
    world = World(split, size, seed)
    for index in range(n):
        scene = world.few_shot(index, shots=shots, novel=novel, family=family)
        yield {
            "image": _picture(scene["image"]),
            "mask": _picture(scene["mask"]),
            "reference_images": _pictures(scene["reference_images"]),
            "reference_masks": _pictures(scene["reference_masks"]),
            "category": scene["category"],
        }


def _clip_row(scene: dict[str, Any]) -> Row:
    return {
        "frames": _pictures(scene["frames"]),
        "label_maps": _pictures(scene["label_maps"]),
        "object_ids": list(scene["visible"]),
        "visible": [shown.tolist() for shown in scene["visible"].values()],
    }


def _vos_rows(split: str, n: int, seed: int, size: int, frames: int) -> Iterator[Row]:
    world = World(split, size, seed)
    for index in range(n):
        yield _clip_row(world.clip(index, frames))


def _rvos_rows(split: str, n: int, seed: int, size: int, frames: int) -> Iterator[Row]:
    world = World(split, size, seed)
    for index in range(n):
        scene = world.clip(index, frames)
        yield _clip_row(scene) | {
            "sentences": list(scene["sentences"].values()),
            "sentence_kinds": list(scene["sentence_kinds"].values()),
            "absent_sentences": scene["absent_sentences"],
        }


def _generate(
    rows: Callable[..., Iterator[Row]], features: dict[str, Any], cache_dir: str | None, **options: Any
) -> Dataset:
    require("datasets", "data", "a world as a dataset")
    from datasets import Dataset, Features

    if isinstance(options["n"], bool) or not isinstance(options["n"], int) or options["n"] < 1:
        raise UsageError(f"n must be a positive integer, got {options['n']!r}")
    World(options["split"], options["size"], options["seed"])  # checks its arguments before a cache is opened
    return Dataset.from_generator(rows, features=Features(features), cache_dir=cache_dir, gen_kwargs=options)


def ris_dataset(split: str, n: int, seed: int = 0, size: int = 128, cache_dir: str | None = None) -> Dataset:
    """Referring image segmentation, one scene a row.

    Features: `image`; `masks`, one a object; `sentences` and `sentence_kinds`, for each object a list (possibly
    empty) of sentences true of it alone and of their kinds; `absent_sentences`, true of no object.

    Args:
        split: "train", "validation" or "test".
        n: number of scenes, those with the indices 0 to n - 1.
        seed: seed of the world.
        size: side of the pictures in pixels.
        cache_dir: where `datasets` keeps the rows; `None` for its own cache.
    """
    require("datasets", "data", "a world as a dataset")
    from datasets import Image as ImageFeature
    from datasets import List, Value

    features = {
        "image": ImageFeature(),
        "masks": List(ImageFeature()),
        "sentences": List(List(Value("string"))),
        "sentence_kinds": List(List(Value("string"))),
        "absent_sentences": List(Value("string")),
    }
    return _generate(_ris_rows, features, cache_dir, split=split, n=n, seed=seed, size=size)


def fss_dataset(
    split: str,
    n: int,
    seed: int = 0,
    size: int = 128,
    shots: int = 1,
    novel: bool = False,
    family: str = "named",
    cache_dir: str | None = None,
) -> Dataset:
    """Few-shot segmentation, one query a row.

    Features: `image` and `mask` of the query; `reference_images` and `reference_masks`, `shots` of each; `category`.

    Args:
        split, n, seed, size, cache_dir: as in [`ris_dataset`].
        shots: supports a query.
        novel, family: which categories, as in `World.few_shot`.
    """
    require("datasets", "data", "a world as a dataset")
    from datasets import Image as ImageFeature
    from datasets import List, Value

    features = {
        "image": ImageFeature(),
        "mask": ImageFeature(),
        "reference_images": List(ImageFeature()),
        "reference_masks": List(ImageFeature()),
        "category": Value("string"),
    }
    options = {"split": split, "n": n, "seed": seed, "size": size, "shots": shots, "novel": novel, "family": family}
    return _generate(_fss_rows, features, cache_dir, **options)


def _clip_features() -> dict[str, Any]:
    require("datasets", "data", "a world as a dataset")
    from datasets import Image as ImageFeature
    from datasets import List, Value

    return {
        "frames": List(ImageFeature()),
        "label_maps": List(ImageFeature()),
        "object_ids": List(Value("int32")),
        "visible": List(List(Value("bool"))),
    }


def vos_dataset(
    split: str, n: int, seed: int = 0, size: int = 128, frames: int = 8, cache_dir: str | None = None
) -> Dataset:
    """Video object segmentation, one clip a row.

    Features: `frames`; `label_maps`, one a frame; `object_ids`, the ids in them; `visible`, for each of these ids
    whether it shows in each frame.

    Args:
        split, n, seed, size, cache_dir: as in [`ris_dataset`].
        frames: frames a clip.
    """
    return _generate(_vos_rows, _clip_features(), cache_dir, split=split, n=n, seed=seed, size=size, frames=frames)


def rvos_dataset(
    split: str, n: int, seed: int = 0, size: int = 128, frames: int = 8, cache_dir: str | None = None
) -> Dataset:
    """Referring video object segmentation, one clip a row.

    Features: those of [`vos_dataset`]; `sentences` and `sentence_kinds`, a list for each of `object_ids`;
    `absent_sentences`, true of no object of the clip.

    Args:
        split, n, seed, size, frames, cache_dir: as in [`vos_dataset`].
    """
    require("datasets", "data", "a world as a dataset")
    from datasets import List, Value

    features = _clip_features() | {
        "sentences": List(List(Value("string"))),
        "sentence_kinds": List(List(Value("string"))),
        "absent_sentences": List(Value("string")),
    }
    return _generate(_rvos_rows, features, cache_dir, split=split, n=n, seed=seed, size=size, frames=frames)
