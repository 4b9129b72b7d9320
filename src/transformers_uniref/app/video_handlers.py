"""What happens on the video tab, without the page."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cli.errors import UserError
from .clip_files import RENDERED, draw_frame, render_clip, save_masks
from .clip_job import ClipJob
from .clips import open_clip
from .drawn_masks import drawn_mask
from .limits import LIVE_INTERVAL
from .model_shelf import ModelChoice
from .page import Page
from .sentences import split_sentences


@dataclass(frozen=True)
class Progress:
    """What the page shows while a clip is being followed.

    Attributes:
        bar: HTML of the progress bar.
        picture: a file with the newest frame and its masks, or None for the one before.
        files: rendered clip, masks and code once they are written; then the run is over.
    """

    bar: str
    picture: str | None = None
    files: list[str] | None = None


def start_job(page: Page, path: str | None) -> ClipJob:
    """A job on an uploaded clip.

    Raises:
        UserError: see `open_clip`.
    """
    return ClipJob(open_clip(path), page.workspace.new_folder("clips"))


def add_objects(job: ClipJob | None, frame: int, editor: Mapping[str, Any] | None, text: str) -> list[int]:
    """Adds what is drawn, or an object for each sentence; with both, one object that is given by both.

    Returns:
        Ids of the new objects.

    Raises:
        UserError: no clip, nothing drawn or written, or several sentences about one drawing.
    """
    job = needed(job)
    sentences = split_sentences(text, required=False)
    drawn = any(layer is not None and np.asarray(layer)[..., 3].any() for layer in (editor or {}).get("layers") or [])
    if drawn:
        if len(sentences) > 1:
            raise UserError(
                "A drawn object may have one sentence; add the other sentences after it, without a drawing."
            )
        mask = drawn_mask(editor, job.clip.size)
        return [job.add(frame, sentences[0] if sentences else None, mask).number]
    if not sentences:
        raise UserError("Write a sentence, or paint over an object of the frame, or both; then add it.")
    return [job.add(frame, sentence).number for sentence in sentences]


def object_rows(job: ClipJob | None) -> list[list[Any]]:
    """Rows of the table of objects: number, sentence, how it was given, frame."""
    if job is None:
        return []
    return [[item.number, item.text, item.given_by, item.frame] for item in job.objects.values()]


def follow(page: Page, job: ClipJob | None, choice: ModelChoice) -> Iterator[Progress]:
    """Goes on with a clip until its end or until it is stopped, then writes the files.

    Raises:
        UserError: no clip; see `ClipJob.run`.
    """
    job = needed(job)
    count = len(job.clip)
    yield Progress(progress_bar("loading the model", 0, 1))
    model, processor = page.shelf.get(choice)
    shown = began = time.monotonic()
    before = job.position
    yield Progress(progress_bar("following", job.position, count))
    for result in job.run(model, processor):
        now = time.monotonic()
        if now - shown < LIVE_INTERVAL and 1 < job.position < count:
            continue
        shown = now
        seconds = (now - began) / (job.position - before)
        bar = progress_bar(f"following, {seconds:.2f} seconds a frame", job.position, count)
        yield Progress(bar, page.workspace.shown(draw_frame(job, result), "newest.jpg"))
    if job.position == 0:
        yield Progress(progress_bar("stopped before the first frame", 0, count), files=[])
        return
    folder = page.workspace.new_folder()
    for written in render_clip(job, folder / RENDERED):
        now = time.monotonic()
        if now - shown >= LIVE_INTERVAL:
            shown = now
            yield Progress(progress_bar("drawing the clip", written, job.position))
    end = "done" if job.position == count else "stopped; Follow goes on from here"
    files = [str(folder / RENDERED), *save_masks(job, folder)]
    yield Progress(progress_bar(end, job.position, count) + told(job.doubts()), files=files)


def told(lines: Sequence[str]) -> str:
    """HTML: lines below the progress bar."""
    return "".join(f'<div class="uniref-doubt">{html.escape(line)}</div>' for line in lines)


def needed(job: ClipJob | None) -> ClipJob:
    """The job.

    Raises:
        UserError: there is none.
    """
    if job is None:
        raise UserError("Choose a video first.")
    return job


def progress_bar(text: str, done: int, count: int) -> str:
    """HTML: what is going on, and how far it is."""
    return (
        f'<div class="uniref-progress"><progress value="{done}" max="{count}"></progress> '
        f"<span>{html.escape(text)}: {done} of {count}</span></div>"
    )
