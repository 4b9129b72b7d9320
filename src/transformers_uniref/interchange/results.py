"""From what the processor and the pipelines return to annotated pictures and clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import KindError, UsageError
from .objects import DEFAULT_LABEL, AnnotatedClip, AnnotatedImage, AnnotatedObject


def image_of(
    result: Any,
    labels: str | Sequence[str | None] | Mapping[int, str | None] | None = None,
    *,
    name: str = "",
    image_id: int | None = None,
    size: tuple[int, int] | None = None,
) -> AnnotatedImage:
    """A picture's results as an `AnnotatedImage`.

    Args:
        result: of one picture, one of

            - what `post_process_referring_segmentation` returns for it: a dictionary, or the list of those that look at
              it (several sentences);
            - what an image pipeline returns for it: a list of `mask`, `score`, `label`, `box`;
            - one dictionary of `post_process_instance_segmentation`;
            - what `post_process_video_masks` returns for a frame: {object id: mask};
            - what `inference.pictures.segment_pictures` returns for it, or `inference.clips.follow` for a frame;
            - one frame's dictionary of a video pipeline.
        labels: what the objects are called: one text for all, one for each in order (for instance the sentences that
            were asked; for instance segmentation the names of classes by their number), or {object id: text}. Default:
            what the result says, else "object".
        name: of the picture's file.
        image_id: its number in its dataset.
        size: (height, width), needed where the result has no mask to tell it.

    Raises:
        TypeError, ValueError: a result of another form; another number of labels than objects; no mask and no size.
    """
    objects = list(_objects(result, labels))
    if size is None:
        if not objects:
            raise UsageError("`size` is needed: the result has no mask that tells the picture's size.")
        size = objects[0].mask.shape
    return AnnotatedImage((int(size[0]), int(size[1])), objects, name, image_id)


def clip_of(
    results: Iterable[Any],
    labels: str | Sequence[str | None] | Mapping[int, str | None] | None = None,
    *,
    name: str = "",
    clip_id: int | None = None,
    frame_names: Sequence[str] | None = None,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
) -> AnnotatedClip:
    """A clip's results, frame by frame, as an `AnnotatedClip`.

    Args:
        results: for each frame what `post_process_video_masks`, `inference.clips.follow` or a video pipeline returns.
        labels: see `image_of`; a list is for the objects by ascending id.
        name: of the clip.
        clip_id: its number in its dataset.
        frame_names: of the frames' files. Default: `frame_000000`, ...
        fps: frames a second.
        size: (height, width), needed where no frame has an object.

    Raises:
        TypeError, ValueError: see `image_of`; another number of names than frames.
    """
    frames = list(results)
    names = [f"frame_{index:06d}" for index in range(len(frames))] if frame_names is None else list(frame_names)
    if len(names) != len(frames):
        raise UsageError(f"`frame_names` must hold one name for each of {len(frames)} frames, got {len(names)}.")
    by_id = labels
    if labels is not None and not isinstance(labels, (str, Mapping)):
        ids = sorted({number for frame in frames for number in _masks_by_id(frame)})
        if len(labels) != len(ids):
            raise UsageError(f"`labels` must hold one text for each of {len(ids)} objects, got {len(labels)}.")
        by_id = dict(zip(ids, labels, strict=True))
    if size is None:
        masks = (mask for frame in frames for mask in _masks_by_id(frame).values())
        first = next(masks, None)
        size = None if first is None else bool_mask(first).shape
    images = [
        image_of(frame, by_id, name=frame_name, size=size) for frame, frame_name in zip(frames, names, strict=True)
    ]
    return AnnotatedClip(images, name, clip_id, fps)


def bool_mask(mask: Any) -> np.ndarray:
    """A mask of a result, whatever its container, as bool (H, W).

    Raises:
        ValueError: not two-dimensional.
    """
    if isinstance(mask, AnnotatedObject):
        return mask.mask
    array = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    if array.ndim != 2:
        raise UsageError(f"`result` must hold masks (height, width), got one of shape {array.shape}.")
    return array if array.dtype == np.bool_ else array != 0


def _objects(result: Any, labels: Any) -> Iterable[AnnotatedObject]:
    if isinstance(result, (list, tuple)):
        # Transformers nests the results of a picture once more when several pictures are given.
        return _references(result, labels)
    if isinstance(result, AnnotatedObject):
        return _references([result], labels)
    if not isinstance(result, Mapping):
        raise KindError(f"`result` must be what post-processing or a pipeline returns, got {type(result).__name__}.")
    if "segmentation" in result or "mask" in result:
        return _references([result], labels)
    if "labels" in result and "boxes" in result and "masks" in result:
        return _instances(result, labels)
    return _numbered(result, labels)


def _references(results: Sequence[Any], labels: Any) -> Iterable[AnnotatedObject]:
    texts = _texts(labels, len(results))
    for entry, text in zip(results, texts, strict=True):
        if isinstance(entry, AnnotatedObject):
            yield replace(entry, label=_label(text or entry.label))
            continue
        if not isinstance(entry, Mapping) or not ("segmentation" in entry or "mask" in entry):
            raise KindError(
                "`result` must hold dictionaries with `segmentation` or `mask`; give one picture's results."
            )
        mask = entry["segmentation"] if "segmentation" in entry else entry["mask"]
        label = text if text is not None else entry.get("label")
        box = entry.get("box")
        corners: Any = [box[key] for key in ("xmin", "ymin", "xmax", "ymax")] if isinstance(box, Mapping) else box
        yield AnnotatedObject(bool_mask(mask), _label(label), entry.get("score"), corners)


def _instances(result: Mapping[str, Any], labels: Any) -> Iterable[AnnotatedObject]:
    for mask, score, number, box in zip(
        result["masks"], result["scores"], result["labels"], result["boxes"], strict=True
    ):
        label: Any = labels
        if isinstance(labels, Mapping):
            label = labels.get(int(number))
        elif labels is not None and not isinstance(labels, str):
            if int(number) >= len(labels):
                raise UsageError(
                    f"`labels` must name every class, got {len(labels)} names and the class {int(number)}."
                )
            label = labels[int(number)]
        yield AnnotatedObject(bool_mask(mask), _label(label), score, box)


def _numbered(result: Mapping[Any, Any], labels: Any) -> Iterable[AnnotatedObject]:
    masks = dict(sorted(_masks_by_id(result).items()))
    own = result.get("labels") or {} if "masks" in result else {}
    scores = result.get("scores", {}) if "masks" in result else {}
    by_id = isinstance(labels, Mapping)
    texts: Mapping[Any, Any] = labels if by_id else dict(zip(masks, _texts(labels, len(masks)), strict=True))
    for number, mask in masks.items():
        text = texts.get(number)
        if isinstance(mask, AnnotatedObject):
            yield replace(mask, label=_label(text or mask.label), object_id=int(number))
            continue
        label = _label(text if text is not None else own.get(number))
        yield AnnotatedObject(bool_mask(mask), label, scores.get(number), object_id=int(number))


def _masks_by_id(result: Any) -> Mapping[int, Any]:
    """{object id: mask} of a frame, from post-processing or from a pipeline."""
    masks = result.get("masks", result) if isinstance(result, Mapping) else result
    if not isinstance(masks, Mapping) or not all(isinstance(number, (int, np.integer)) for number in masks):
        raise KindError("`result` must be {object id: mask} or a frame's dictionary of a video pipeline.")
    return masks


def _texts(labels: Any, count: int) -> list[str | None]:
    if labels is None or isinstance(labels, str):
        return [labels] * count
    if isinstance(labels, Mapping):
        raise KindError("`labels` must be a text or one text for each object: these results have no object ids.")
    if len(labels) != count:
        raise UsageError(f"`labels` must hold one text for each of {count} objects, got {len(labels)}.")
    return list(labels)


def _label(given: Any) -> str:
    return DEFAULT_LABEL if given is None or given == "" else str(given)
