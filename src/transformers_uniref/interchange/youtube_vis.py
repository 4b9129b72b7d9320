"""YouTube-VIS JSON: clips, each object with one run-length code, or null, for every frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..core.errors import UsageError
from .coco import coco_categories, corner_to_size, image_ids, numbered, read_segmentation
from .objects import DEFAULT_LABEL, AnnotatedClip, AnnotatedImage, AnnotatedObject


def to_youtube_vis(clips: Iterable[AnnotatedClip], *, categories: Mapping[str, int] | None = None) -> dict[str, Any]:
    """A YouTube-VIS annotation file.

    Args:
        clips: clips with their objects; objects without a pixel in any frame are left out.
        categories: {label: category id}. Default: labels numbered from 1 as they appear.

    Returns:
        `info`, `videos` (with the frames' names as `file_names`), `annotations` (`segmentations`, `bboxes` and `areas`
        hold null where the object is not seen), `categories`. The object's id is kept as `track_id`, the mean of its
        scores as `score`.

    Raises:
        ValueError: a label that `categories` lacks; a clip id that comes twice.
    """
    given = list(clips)
    numbers = numbered((label for clip in given for label in clip.labels().values()), categories)
    ids = image_ids([clip.clip_id for clip in given], "clip_id")
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for clip_id, clip in zip(ids, given, strict=True):
        height, width = clip.size
        videos.append(
            {
                "id": clip_id,
                "name": clip.name,
                "height": height,
                "width": width,
                "length": len(clip.frames),
                "file_names": [frame.name for frame in clip.frames],
            }
        )
        labels, scores = clip.labels(), clip.scores()
        for number, track in clip.tracks().items():
            if not track:
                continue
            shown = [track.get(index) for index in range(len(clip.frames))]
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "video_id": clip_id,
                "category_id": numbers[labels[number]],
                "iscrowd": 0,
                "height": height,
                "width": width,
                "length": len(track),
                "segmentations": [None if entry is None else entry.run_length_code() for entry in shown],
                "bboxes": [None if entry is None else corner_to_size(entry.tight_corners) for entry in shown],
                "areas": [None if entry is None else entry.area for entry in shown],
                "track_id": number,
            }
            if scores[number] is not None:
                annotation["score"] = scores[number]
            annotations.append(annotation)
    return {
        "info": {"description": "written by transformers_uniref"},
        "videos": videos,
        "annotations": annotations,
        "categories": coco_categories(numbers),
    }


def to_youtube_vis_results(
    clips: Iterable[AnnotatedClip], *, categories: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """The list of results that the servers of YouTube-VIS and OVIS read.

    Args:
        clips: clips with their objects; objects without a pixel are left out.
        categories: those of the dataset.

    Returns:
        For each object `video_id`, `category_id`, `segmentations` and `score`, the mean of its scores.

    Raises:
        ValueError: see `to_youtube_vis`; an object without a score.
    """
    results = []
    for annotation in to_youtube_vis(clips, categories=categories)["annotations"]:
        if "score" not in annotation:
            raise UsageError(f"`clips` must hold objects with scores, got none for object {annotation['track_id']}.")
        results.append({key: annotation[key] for key in ("video_id", "category_id", "segmentations", "score")})
    return results


def from_youtube_vis(document: Mapping[str, Any]) -> list[AnnotatedClip]:
    """The clips of a YouTube-VIS annotation file.

    Args:
        document: parsed JSON with `videos`, `annotations`, `categories`. An object without a `track_id` (as in the
            original files) is numbered in its clip, from 1.

    Returns:
        One `AnnotatedClip` for each entry of `videos`. A frame holds the objects that are seen in it.

    Raises:
        ValueError: a part is missing; an annotation for an unknown clip, or of another length.
    """
    for part in ("videos", "annotations"):
        if not isinstance(document, Mapping) or part not in document:
            raise UsageError(f"`document` must be a YouTube-VIS file, it lacks `{part}`.")
    names = {entry["id"]: entry["name"] for entry in document.get("categories", ())}
    videos = {entry["id"]: entry for entry in document["videos"]}
    frames: dict[Any, list[list[AnnotatedObject]]] = {
        clip_id: [[] for _ in _file_names(video)] for clip_id, video in videos.items()
    }
    counts: dict[Any, int] = {}
    for annotation in document["annotations"]:
        clip_id, segmentations = annotation["video_id"], annotation.get("segmentations") or ()
        if clip_id not in videos:
            raise UsageError(f"`document` has an annotation {annotation.get('id')} for an unknown video {clip_id}.")
        if len(segmentations) != len(frames[clip_id]):
            raise UsageError(
                f"`document` has an annotation {annotation.get('id')} with {len(segmentations)} segmentations for "
                f"{len(frames[clip_id])} frames."
            )
        counts[clip_id] = counts.get(clip_id, 0) + 1
        size = (int(videos[clip_id]["height"]), int(videos[clip_id]["width"]))
        for objects, segmentation in zip(frames[clip_id], segmentations, strict=True):
            if segmentation:
                objects.append(
                    AnnotatedObject(
                        read_segmentation(segmentation, size, annotation.get("id")),
                        names.get(annotation.get("category_id"), DEFAULT_LABEL),
                        annotation.get("score"),
                        object_id=annotation.get("track_id", counts[clip_id]),
                    )
                )
    clips = []
    for clip_id, video in videos.items():
        size = (int(video["height"]), int(video["width"]))
        images = [
            AnnotatedImage(size, objects, name)
            for objects, name in zip(frames[clip_id], _file_names(video), strict=True)
        ]
        clips.append(AnnotatedClip(images, video.get("name", ""), clip_id))
    return clips


def _file_names(video: Mapping[str, Any]) -> Sequence[str]:
    return video.get("file_names") or [""] * int(video["length"])
