"""The tab on which objects are followed through a clip."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import video_handlers as handlers
from .clip_job import ClipJob
from .limits import FORGET_AFTER_SECONDS, MAX_FRAMES
from .messages import explained
from .page import CLIPS, Page, editor_value, mask_editor

OBJECT_HEADERS = ["object", "looked for", "given by", "from frame"]


def forget_job(job: ClipJob | None) -> None:
    """Ends a job whose user has gone, and deletes its files."""
    if job is not None:
        job.stop()
        shutil.rmtree(job.folder, ignore_errors=True)


def build_video_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; see `build_sentence_tab`."""
    import gradio as gr

    job_state = gr.State(None, time_to_live=FORGET_AFTER_SECONDS, delete_callback=forget_job)
    with gr.Row():
        with gr.Column():
            clip = gr.Video(
                label=f"1. Video (up to {MAX_FRAMES} frames)",
                sources=["upload", "webcam"],
                include_audio=True,  # so that Gradio hands the file on as it came
                webcam_options=gr.WebcamOptions(mirror=False),
                elem_id="video-clip",
                height=280,
            )
            about = gr.Markdown("No video yet.", elem_id="video-about")
            frame = gr.Slider(0, 1, 0, step=1, label="2. Frame", interactive=True, elem_id="video-frame")
            editor = mask_editor("3. Paint over an object of this frame, or write", "video-editor")
            text = gr.Textbox(
                label="one sentence a line (with a drawing: about the drawn object, optional)",
                lines=2,
                elem_id="video-text",
            )
            add = gr.Button("Add", elem_id="video-add")
        with gr.Column():
            objects = gr.Dataframe(
                headers=OBJECT_HEADERS,
                datatype=["number", "str", "str", "number"],
                interactive=False,
                label="Objects; more can be added while the clip is being followed, or after Stop",
            )
            with gr.Row():
                number = gr.Dropdown([], label="Object", show_label=False, container=False, elem_id="video-number")
                remove = gr.Button("Remove this object", elem_id="video-remove")
            with gr.Row():
                run = gr.Button("Follow", variant="primary", elem_id="video-run")
                stop = gr.Button("Stop", variant="stop", elem_id="video-stop")
                over = gr.Button("Start over", elem_id="video-over")
            progress = gr.HTML(elem_id="video-progress")
            live = gr.Image(label="Newest frame", interactive=False, format="jpeg", elem_id="video-live")
            rendered = gr.Video(label="Rendered clip", interactive=False, elem_id="video-rendered", height=280)
            files = gr.File(
                label="Rendered clip, masks as PNG (ZIP), masks as RLE",
                file_count="multiple",
                interactive=False,
                elem_id="video-files",
            )

    def list_objects(job: ClipJob | None) -> tuple[Any, Any]:
        numbers = [str(known) for known in job.objects] if job is not None else []
        return handlers.object_rows(job), gr.update(choices=numbers, value=numbers[-1] if numbers else None)

    def load(path: str | None, known: ClipJob | None) -> Iterator[Any]:
        # Gradio tells of one upload more than once; what was added to it meanwhile stays.
        if known is not None and path is not None and known.clip.path == Path(path):
            yield tuple(gr.skip() for _ in loaded)
            return
        yield None, "No video yet.", gr.update(value=0, maximum=1), None, *list_objects(None), "", None, None, None
        if path is None:
            return
        job = handlers.start_job(page, path)
        height, width = job.clip.size
        told = f"{width} x {height}, {len(job.clip)} frames, {job.clip.frames_per_second:.3g} a second"
        slider = gr.update(value=0, maximum=max(1, len(job.clip) - 1))
        yield job, told, slider, editor_value(page, job.clip.frames[0]), *list_objects(job), "", None, None, None

    def show_frame(job: ClipJob | None, index: float) -> Any:
        job = handlers.needed(job)
        return editor_value(page, job.clip.frames[min(int(index), len(job.clip) - 1)])

    def add_objects(job: ClipJob | None, index: float, drawing: Any, sentences: str) -> Any:
        handlers.add_objects(job, int(index), drawing, sentences)
        return *list_objects(job), show_frame(job, index), ""

    def remove_object(job: ClipJob | None, chosen: str | None) -> Any:
        if chosen:
            handlers.needed(job).remove(int(chosen))
        return list_objects(job)

    def follow(job: ClipJob | None, chosen: Any) -> Iterator[Any]:
        stay = gr.skip()
        for step in handlers.follow(page, job, chosen):
            picture = stay if step.picture is None else step.picture
            if step.files is None:
                yield step.bar, picture, stay, stay, stay, stay
                continue
            job = handlers.needed(job)
            index = min(job.position, len(job.clip) - 1)
            clip_file = step.files[0] if step.files else None
            yield step.bar, picture, clip_file, step.files, index, show_frame(job, index)

    def stop_run(job: ClipJob | None) -> None:
        if job is not None:
            job.stop()

    def start_over(job: ClipJob | None) -> Any:
        handlers.needed(job).start_over()
        return "", None, None, None, 0, show_frame(job, 0)

    results = [progress, live, rendered, files]
    loaded = [job_state, about, frame, editor, objects, number, *results]
    at_once: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None}
    clip.change(explained(load), [clip, job_state], loaded, **at_once)
    frame.release(explained(show_frame), [job_state, frame], editor, **at_once)
    add.click(explained(add_objects), [job_state, frame, editor, text], [objects, number, editor, text], **at_once)
    remove.click(explained(remove_object), [job_state, number], [objects, number], **at_once)
    run.click(
        explained(follow),
        [job_state, choice],
        [*results, frame, editor],
        api_visibility="private",
        **CLIPS,
        show_progress="hidden",
    )
    stop.click(explained(stop_run), job_state, None, **at_once)
    over.click(explained(start_over), job_state, [*results, frame, editor], **at_once)
    gr.Examples(page.examples.clips, [clip, text], cache_examples=False, label="Try one of these, then Add and Follow")
