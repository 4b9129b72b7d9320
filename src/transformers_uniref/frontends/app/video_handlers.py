"""What happens on the video tab, without the page."""

from __future__ import annotations

import html
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ...processors.all_targets import Targets
from ..errors import UserError
from .clip_files import RENDERED, draw_frame, render_clip, save_masks
from .clip_job import ClipJob
from .limits import LIVE_INTERVAL
from .marking import ORIGINS, Marking
from .model_cache import ModelChoice
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


ALL = "all: "
"""Before a sentence for all objects where objects are listed."""


def add_objects(job: ClipJob | None, frame: int, marking: Marking, text: str, targets: Targets = "one") -> list[int]:
    """Adds what is marked, or an object for each sentence; with both, one object that is given by both. All or none.

    With targets "all" a sentence means all objects that it is true of; they get ids as they appear.

    The ids of the new objects come back; those of a mask file keep their values in it where they are free.
    """
    job = needed(job)
    sentences = split_sentences(text, required=False)
    if marking.is_empty:
        if not sentences:
            raise UserError("Write a sentence, or mark an object of the frame, or both; then add it.")
        job.check_room(len(sentences))
        if targets == "all":
            for each in sentences:
                job.add_all(frame, each)
            return []
        return [job.add(frame, sentence).number for sentence in sentences]
    if sentences and targets == "all":
        raise UserError("A marked object is one: add it without a sentence, and the sentence for all objects after it.")
    if len(sentences) > 1:
        raise UserError("A marked object may have one sentence; add the other sentences after it, without a mark.")
    masks = marking.masks(job.clip.size)
    if sentences and len(masks) > 1:
        raise UserError(
            f"The mask file holds {len(masks)} objects: leave out the sentence, which can be about one object only."
        )
    job.check_room(len(masks))
    sentence = sentences[0] if sentences else None
    origin, pointed = ORIGINS[marking.way], marking.pointed(job.clip.size)
    return [
        job.add(frame, sentence, mask, origin=origin, number=number if len(masks) > 1 else None, pointed=pointed).number
        for number, mask in masks.items()
    ]


def remove_object(job: ClipJob | None, chosen: str | None) -> None:
    """Follows one object no further; nothing happens where none is chosen."""
    job = needed(job)
    if chosen and chosen.startswith(ALL):
        job.remove_all(chosen.removeprefix(ALL))
    elif chosen:
        if not chosen.isdecimal():
            raise UserError(f"An object is named by its number, got {chosen[:20]!r}.")
        job.remove(int(chosen))


def follow(page: Page, job: ClipJob | None, choice: ModelChoice) -> Iterator[Progress]:
    """Goes on with a clip until its end or until it is stopped, then writes the files.

    Nothing comes where that is going on already, and nothing more once the job is abandoned.
    """
    job = needed(job)
    with job.handled() as is_free:
        if is_free:
            for progress in _followed(page, job, choice):
                if job.is_abandoned:
                    return
                yield progress


def _followed(page: Page, job: ClipJob, choice: ModelChoice) -> Iterator[Progress]:
    count = len(job.clip)
    yield Progress(progress_bar("loading the model", job.position, count))
    model, processor = page.models.get(choice)
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
    doubts = "".join(f'<div class="uniref-doubt">{html.escape(line)}</div>' for line in job.doubts())
    yield Progress(progress_bar(end, job.position, count) + doubts, files=files)


def start_over(job: ClipJob | None) -> ClipJob:
    """Forgets what was found in a clip, and keeps its objects."""
    job = needed(job)
    with job.handled() as is_free:
        if not is_free:
            raise UserError("This clip is being followed: press Stop first.")
        job.start_over()
    return job


def needed(job: ClipJob | None) -> ClipJob:
    """The job, without which nothing can be done."""
    if job is None:
        raise UserError("Choose a video first.")
    return job


def progress_bar(text: str, done: int, count: int) -> str:
    """HTML: what is going on, and how far it is."""
    return (
        f'<div class="uniref-progress" role="status"><progress value="{done}" max="{count}" aria-label="progress">'
        f"</progress> <span>{html.escape(text)}: {done} of {count}</span></div>"
    )
