"""COCO JSON: the annotation file of a dataset, and the list of results that its evaluation reads."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..core.mask_codes import decode_rle
from ..datasets.converters.coco_masks import LEAST_COORDINATES, polygon_lists
from .objects import DEFAULT_LABEL, AnnotatedImage, AnnotatedObject, category_numbers
from .polygons import mask_to_polygons, polygons_to_mask


def to_coco(
    images: Iterable[AnnotatedImage], *, categories: Mapping[str, int] | None = None, polygons: bool = False
) -> dict[str, Any]:
    """A COCO annotation file.

    Args:
        images: pictures with their objects; objects without a pixel are left out.
        categories: {label: category id}. Default: labels numbered from 1 as they appear.
        polygons: segmentations as polygons along the pixels' edges instead of compressed run lengths. Filled by
            pycocotools they give the same masks; a part with a hole becomes several polygons.

    Returns:
        `info`, `images`, `annotations`, `categories`, ready for `json.dump`. The box of an annotation encloses its
        mask, as in COCO; an object's `score` is kept as a further field, and its `object_id` as `track_id`.

    Raises:
        ValueError: a label that `categories` lacks; an image id that comes twice.
    """
    pictures = list(images)
    numbers = _numbers(pictures, categories)
    ids = image_ids([picture.image_id for picture in pictures], "image_id")
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, picture in zip(ids, pictures, strict=True):
        height, width = picture.size
        entries.append({"id": image_id, "file_name": picture.name, "height": height, "width": width})
        for entry in picture.found():
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": numbers[entry.label],
                "iscrowd": 0,
                "area": entry.area,
                "bbox": corner_to_size(entry.tight_corners),
                "segmentation": mask_to_polygons(entry.mask) if polygons else entry.run_length_code(),
            }
            if entry.score is not None:
                annotation["score"] = entry.score
            if entry.object_id is not None:
                annotation["track_id"] = entry.object_id
            annotations.append(annotation)
    return {
        "info": {"description": "written by transformers_uniref"},
        "images": entries,
        "annotations": annotations,
        "categories": coco_categories(numbers),
    }


def to_coco_results(
    images: Iterable[AnnotatedImage], *, categories: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """The list of results that `pycocotools.coco.COCO.loadRes` and COCO's servers read.

    Args:
        images: pictures with their objects; objects without a pixel are left out.
        categories: see `to_coco`; those of the dataset that the results are compared with.

    Returns:
        For each object `image_id`, `category_id`, `segmentation` (compressed run lengths), `bbox` [x, y, width, height]
        (the model's, where it predicts one), `score`.

    Raises:
        ValueError: see `to_coco`; an object without a score.
    """
    pictures = list(images)
    numbers = _numbers(pictures, categories)
    ids = image_ids([picture.image_id for picture in pictures], "image_id")
    results = []
    for image_id, picture in zip(ids, pictures, strict=True):
        for entry in picture.found():
            if entry.score is None:
                raise UsageError(f"`images` must hold objects with scores, got none for {entry.label!r}.")
            results.append(
                {
                    "image_id": image_id,
                    "category_id": numbers[entry.label],
                    "segmentation": entry.run_length_code(),
                    "bbox": corner_to_size(entry.corners),
                    "score": entry.score,
                }
            )
    return results


def from_coco(document: Mapping[str, Any]) -> list[AnnotatedImage]:
    """The pictures of a COCO annotation file.

    Args:
        document: parsed JSON with `images`, `annotations`, `categories`. Segmentations may be polygons (filled by
            pycocotools; also without the list around them, or as points), plain or compressed run lengths (text or
            bytes); `score` and `track_id` are read where they are.

    Returns:
        One `AnnotatedImage` for each entry of `images`, in their order; crowd regions are objects like others.

    Raises:
        ValueError: a part is missing; an annotation for an unknown picture, without a segmentation, or with one that
            cannot be read or has no inside.
        MissingExtraError: polygons need pycocotools.

    Warns:
        UserWarning: a polygon of fewer than three corners beside others was left out; a mask without a pixel.
    """
    for part in ("images", "annotations"):
        if not isinstance(document, Mapping) or part not in document:
            raise UsageError(f"`document` must be a COCO file, it lacks `{part}`.")
    names = {entry["id"]: entry["name"] for entry in document.get("categories", ())}
    sizes = {entry["id"]: (int(entry["height"]), int(entry["width"])) for entry in document["images"]}
    objects: dict[Any, list[AnnotatedObject]] = {image_id: [] for image_id in sizes}
    for annotation in document["annotations"]:
        image_id = annotation["image_id"]
        if image_id not in sizes:
            raise UsageError(f"`document` has an annotation {annotation.get('id')} for an unknown image {image_id}.")
        segmentation = annotation.get("segmentation")
        if segmentation is None or len(segmentation) == 0:
            raise UsageError(f"`document` has an annotation {annotation.get('id')} without a segmentation.")
        objects[image_id].append(
            AnnotatedObject(
                read_segmentation(segmentation, sizes[image_id], annotation.get("id")),
                names.get(annotation.get("category_id"), DEFAULT_LABEL),
                annotation.get("score"),
                object_id=annotation.get("track_id"),
            )
        )
    return [
        AnnotatedImage(sizes[entry["id"]], objects[entry["id"]], entry.get("file_name", ""), entry["id"])
        for entry in document["images"]
    ]


# ------------------------------------------------------------------------------------------- shared with YouTube-VIS
def read_segmentation(segmentation: Any, size: tuple[int, int], annotation_id: Any) -> np.ndarray:
    """Polygons or run lengths of an annotation as bool (H, W); its id stands in messages.

    Raises:
        ValueError: it cannot be read, has no inside, or is of another size.

    Warns:
        UserWarning: see `from_coco`.
    """
    where = f"`document` has an annotation {annotation_id}"
    try:
        coded = isinstance(segmentation, Mapping)
        mask = decode_rle(segmentation) if coded else _filled(segmentation, size, where)
    except (ValueError, TypeError, KeyError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise UsageError(f"{where} whose segmentation cannot be read: {reason}") from error
    if mask.shape != tuple(size):
        raise UsageError(f"{where} with a mask of size {mask.shape} in a picture of size {tuple(size)}.")
    if not mask.any():
        warnings.warn(f"{where} whose mask has no pixel", stacklevel=3)
    return mask


def _filled(segmentation: Any, size: tuple[int, int], where: str) -> np.ndarray:
    polygons = polygon_lists(segmentation)
    whole = [polygon for polygon in polygons if len(polygon) >= LEAST_COORDINATES]
    if not any(_twice_area(polygon) for polygon in whole):
        raise UsageError("no polygon of it has three corners and an inside")
    if len(whole) < len(polygons):
        warnings.warn(f"{where} with a polygon of fewer than three corners, which is left out", stacklevel=4)
    return polygons_to_mask(whole, size)


def _twice_area(polygon: Sequence[float]) -> float:
    x, y = np.asarray(polygon).reshape(-1, 2).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def corner_to_size(corners: Sequence[float]) -> list[float]:
    """x0, y0, x1, y1 -> COCO's [x, y, width, height]."""
    x0, y0, x1, y1 = corners
    return [x0, y0, x1 - x0, y1 - y0]


def coco_categories(numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """The `categories` of a document."""
    return [{"id": number, "name": label, "supercategory": ""} for label, number in numbers.items()]


def numbered(labels: Iterable[str], categories: Mapping[str, int] | None) -> dict[str, int]:
    """{label: category id}, given or as they appear.

    Raises:
        ValueError: `categories` lacks a label.
    """
    wanted = list(dict.fromkeys(labels))
    if categories is None:
        return category_numbers(wanted)
    missing = [label for label in wanted if label not in categories]
    if missing:
        raise UsageError(f"`categories` must have every label, it lacks {missing[0]!r}.")
    return dict(categories)


def image_ids(given: Sequence[int | None], name: str) -> list[int]:
    """The ids of pictures or clips, or their places from 1 where none has one.

    Raises:
        ValueError: some have one, or one comes twice.
    """
    if all(number is None for number in given):
        return list(range(1, len(given) + 1))
    numbers = [number for number in given if number is not None]
    if len(numbers) != len(given) or len(set(numbers)) != len(numbers):
        raise UsageError(f"`{name}` must be distinct numbers, or None throughout, got {list(given)[:20]}.")
    return numbers


def _numbers(pictures: Sequence[AnnotatedImage], categories: Mapping[str, int] | None) -> dict[str, int]:
    return numbered((entry.label for picture in pictures for entry in picture.found()), categories)
