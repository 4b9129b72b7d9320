"""What a user takes home from a clip: the rendered clip, the masks, their run-length code."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...core.json_writing import to_json
from ...core.mask_reading import load_label_map
from ...media.pixel_aspect import square_pixels
from ...media.video.io import VideoWriter
from .clip_job import ClipJob, FrameResult
from .legend import draw_results

RENDERED, MASKS, CODES = "overlay.mp4", "masks.zip", "masks.json"


def draw_frame(job: ClipJob, result: FrameResult) -> np.ndarray:
    """A frame with its masks and the legend, in the proportions with which it is shown; uint8 (H', W', 3)."""
    aspect = job.clip.frames.pixel_aspect
    masks = {number: square_pixels(mask, aspect) for number, mask in result.masks.items()}
    visible = {number for number, mask in result.masks.items() if mask.any()}
    return draw_results(square_pixels(result.frame, aspect), masks, job.entries(result.scores, visible))


def render_clip(job: ClipJob, path: Path) -> Iterator[int]:
    """Writes an MP4 of all computed frames, and yields after each frame how many are written.

    The label maps on disk are drawn: where masks overlap, the object with the larger number lies on top. Frames of a
    clip have one size, and so have their legends, which list every object from the first frame on.

    Args:
        job: with a computed frame at least.
        path: ends in `.mp4`.
    """
    with VideoWriter(path, job.clip.frames_per_second) as writer:
        for index in range(job.position):
            labels = load_label_map(job.mask_file(index))
            masks = {number: labels == number for number in job.scores[index]}
            writer.write(draw_frame(job, FrameResult(index, job.clip.frames[index], masks, job.scores[index])))
            yield index + 1


def save_masks(job: ClipJob, folder: Path) -> list[str]:
    """Writes the masks of all computed frames.

    Args:
        job: with a computed frame at least.
        folder: exists.

    Returns:
        The files: `masks.zip` (a palette PNG a frame) and `masks.json` (COCO's run-length code a frame and object).
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
    frames = [
        {
            "frame": index,
            "objects": [
                {
                    "id": number,
                    "score": None if (score := job.scores[index][number]) is None else round(score, 6),
                    "segmentation": code,
                }
                for number, code in codes.items()
            ],
        }
        for index, codes in enumerate(job.codes)
    ]
    about = {"height": height, "width": width, "frames_per_second": job.clip.frames_per_second}
    (folder / CODES).write_text(to_json({**about, "objects": objects, "frames": frames}))
    return [str(folder / MASKS), str(folder / CODES)]
