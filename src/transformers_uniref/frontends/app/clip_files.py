"""What a user takes home from a clip: the rendered clip, the masks, their run-length code."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.annotated_object import AnnotatedObject
from ...core.json_writing import to_json
from ...core.mask_reading import load_label_map
from ...inference.results import SegmentedObject
from ...media.pixel_aspect import square_pixels
from ...media.video.io import VideoWriter
from .clip_job import ClipJob, FrameResult
from .legend import draw_results

RENDERED, MASKS, CODES = "overlay.mp4", "masks.zip", "masks.json"


def draw_frame(job: ClipJob, result: FrameResult) -> np.ndarray:
    """A frame with its masks and a legend of all known objects, as it is to be shown; uint8 (H', W', 3)."""
    aspect, nothing = job.clip.frames.pixel_aspect, np.zeros(job.clip.size, dtype=bool)
    shown = []
    for number, known in list(job.known.items()):
        found = result.objects.get(number)
        mask = square_pixels(nothing if found is None else found.mask, aspect)
        score = None if found is None or found.given else found.score
        shown.append(AnnotatedObject(mask, known.text, score, object_id=number))
    return draw_results(square_pixels(result.frame, aspect), shown)


def render_clip(job: ClipJob, path: Path) -> Iterator[int]:
    """Writes an MP4 of all computed frames, of which there is one at least; yields after each how many are written.

    The label maps on disk are drawn: where masks overlap, the object with the larger number lies on top. Frames of a
    clip have one size, and so have their legends, which list every object from the first frame on.
    """
    with VideoWriter(path, job.clip.frames_per_second) as writer:
        for index in range(job.position):
            labels = load_label_map(job.mask_file(index))
            objects = {}
            for told in job.found[index]:
                number, score = told["id"], told["score"]
                item = SegmentedObject(labels == number, score=score or 0, object_id=number, given=score is None)
                objects[number] = item
            writer.write(draw_frame(job, FrameResult(index, job.clip.frames[index], objects)))
            yield index + 1


def save_masks(job: ClipJob, folder: Path) -> list[str]:
    """Writes the masks of all computed frames, of which there is one at least.

    The files that come back are `masks.zip` (a palette PNG a frame) and `masks.json` (COCO's run-length code a frame
    and object).
    """
    with zipfile.ZipFile(folder / MASKS, "w", zipfile.ZIP_STORED) as archive:
        for index in range(job.position):
            file = job.mask_file(index)
            archive.write(file, file.name)
    height, width = job.clip.size
    objects = [
        {"id": item.number, "text": item.sentence, "given_by": item.given_by, "from_frame": item.frame}
        for item in job.known.values()
    ]
    frames = [{"frame": index, "objects": objects} for index, objects in enumerate(job.found)]
    about = {"height": height, "width": width, "frames_per_second": job.clip.frames_per_second}
    (folder / CODES).write_text(to_json({**about, "objects": objects, "frames": frames}))
    return [str(folder / MASKS), str(folder / CODES)]
