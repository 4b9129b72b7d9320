"""The tab on which objects are followed through a clip."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...processors.all_targets import Targets, check_targets
from . import video_handlers as handlers
from .clip_job import ClipJob
from .clips import open_clip
from .example_buttons import build_example_buttons
from .limits import FORGET_AFTER_SECONDS, MAX_FRAMES
from .marking import Marking
from .marking_area import build_marking_area
from .messages import explained
from .page import AT_ONCE, CLIPS, SCROLL_TO, Page, main_button, targets_choice

OBJECT_HEADERS = ["no.", "looked for", "given by", "from frame"]


def forget_job(job: ClipJob | None) -> None:
    """Ends a job whose user has gone, and deletes its files."""
    if job is not None:
        job.abandon()
        shutil.rmtree(job.folder, ignore_errors=True)


def frame_at(job: ClipJob | None, index: float) -> np.ndarray | None:
    """A frame of the clip, the last one where it is shorter; None without a clip."""
    return None if job is None else job.clip.frames[min(int(index), len(job.clip) - 1)]


def build_video_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; see `build_sentence_tab`."""
    import gradio as gr

    job_state = gr.State(None, time_to_live=FORGET_AFTER_SECONDS, delete_callback=forget_job)
    connect_examples = build_example_buttons(page.examples.clips)
    with gr.Row():
        with gr.Column():
            clip = gr.Video(
                label=f"1. Video (up to {MAX_FRAMES} frames)",
                sources=["upload", "webcam"],
                include_audio=True,  # so that Gradio hands the file on as it came
                webcam_options=gr.WebcamOptions(mirror=False),
                elem_id="video-clip",
                buttons=[],
                height=260,
            )
            about = gr.Markdown("No video yet.", elem_id="video-about")
            text = gr.Textbox(
                label="2. What to follow: one sentence a line",
                placeholder="the red star",
                lines=2,
                elem_id="video-text",
            )
            targets = targets_choice("video")
            frame = gr.Slider(
                0, 1, 0, step=1, label="Or mark an object in frame", interactive=True, elem_id="video-frame"
            )
            area = build_marking_area(page, "video", [job_state, frame], frame_at, one=False)
            add = gr.Button("Add", elem_id="video-add", elem_classes="uniref-once")
        with gr.Column():
            objects = gr.Dataframe(
                headers=OBJECT_HEADERS,
                datatype=["str", "str", "str", "number"],
                column_widths=["13%", "41%", "26%", "20%"],
                wrap=True,
                interactive=False,
                buttons=[],
                label="Objects; more can be added while the clip is being followed, or after Stop",
                elem_id="video-objects",
            )
            with gr.Row(visible=False) as removal:
                number = gr.Dropdown(
                    [],
                    allow_custom_value=True,
                    label="Object to remove",
                    show_label=False,
                    container=False,
                    elem_id="video-number",
                )
                remove = gr.Button("Remove", size="md", min_width=90, elem_id="video-remove")
            with gr.Row():
                run = main_button("Follow", "video-run", size="md", min_width=90)
                stop = gr.Button("Stop", variant="stop", size="md", min_width=90, elem_id="video-stop")
                over = gr.Button("Start over", size="md", min_width=90, elem_id="video-over")
            progress = gr.HTML(elem_id="video-progress")
            live = gr.Image(
                label="Newest frame",
                interactive=False,
                format="jpeg",
                buttons=["fullscreen"],
                visible=False,
                alt_text="The newest frame with what was found",
                elem_id="video-live",
            )
            rendered = gr.Video(
                label="Rendered clip", interactive=False, visible=False, elem_id="video-rendered", height=280
            )
            files = gr.File(
                label="Rendered clip, masks as PNG (ZIP), masks as RLE",
                file_count="multiple",
                interactive=False,
                visible=False,
                elem_id="video-files",
                elem_classes="uniref-files",
            )
    listed = [objects, number, removal]
    results = [progress, live, rendered, files]

    def shown(value: Any) -> Any:
        """A result, or an empty place that takes no room."""
        return gr.update(value=value, visible=bool(value))

    def no_results() -> tuple[Any, ...]:
        return "", shown(None), shown(None), shown(None)

    def list_objects(job: ClipJob | None) -> tuple[Any, ...]:
        numbers = [*map(str, job.objects), *(handlers.ALL + said for said in job.sentences)] if job is not None else []
        choice_of_one = gr.update(choices=numbers, value=numbers[-1] if numbers else None)
        rows = [] if job is None else [[one.number, one.text, one.given_by, one.frame] for one in job.objects.values()]
        rows += [] if job is None else [["all", said, "sentence", start] for said, start in job.sentences.items()]
        return rows, choice_of_one, gr.update(visible=bool(numbers))

    def load(path: str | None, known: ClipJob | None) -> Iterator[Any]:
        # Gradio tells of one upload more than once; what was added to it meanwhile stays.
        if known is not None and path is not None and known.clip.path == Path(path):
            yield tuple(gr.skip() for _ in loaded)
            return
        if known is not None:
            known.abandon()
        slider = gr.update(value=0, maximum=1)
        yield None, "No video yet.", slider, *area.emptied(None), *list_objects(None), *no_results()
        if path is None:
            return
        job = ClipJob(open_clip(path), page.workspace.new_folder("clips"))
        height, width = job.clip.size
        told = f"{width} x {height}, {len(job.clip)} frames, {job.clip.frames_per_second:.3g} a second"
        slider = gr.update(value=0, maximum=max(1, len(job.clip) - 1))
        yield job, told, slider, *area.emptied(frame_at(job, 0)), *list_objects(job), *no_results()

    def show_frame(job: ClipJob | None, index: float, *marked: Any) -> Any:
        return area.redrawn(frame_at(handlers.needed(job), index), Marking(*marked))

    def add_objects(job: ClipJob | None, index: float, sentences: str, meant: Targets, *marked: Any) -> Any:
        check_targets(meant)
        handlers.add_objects(job, int(index), Marking(*marked), sentences, meant)
        return *list_objects(job), *area.emptied(frame_at(job, index)), ""

    def add_pending(job: ClipJob | None, index: float, sentences: str, meant: Targets, *marked: Any) -> Any:
        if not (sentences or "").strip() and Marking(*marked).is_empty:
            return tuple(gr.skip() for _ in added)
        return add_objects(job, index, sentences, meant, *marked)

    def remove_object(job: ClipJob | None, chosen: str | None) -> Any:
        handlers.remove_object(job, chosen)
        return list_objects(job)

    def follow(job: ClipJob | None, chosen: Any) -> Iterator[Any]:
        stay = gr.skip()
        yield tuple(stay for _ in followed)
        for step in handlers.follow(page, job, chosen):
            picture = stay if step.picture is None else shown(step.picture)
            if step.files is None:
                yield step.bar, picture, *(stay for _ in followed[2:])
                continue
            job = handlers.needed(job)
            index = min(job.position, len(job.clip) - 1)
            clip_file = step.files[0] if step.files else None
            drawn = area.emptied(frame_at(job, index))
            yield step.bar, picture, shown(clip_file), shown(step.files), index, *drawn

    def stop_run(job: ClipJob | None) -> None:
        if job is not None:
            job.stop()

    def start_over(job: ClipJob | None) -> Any:
        job = handlers.start_over(job)
        return *no_results(), 0, *area.emptied(frame_at(job, 0))

    loaded = [job_state, about, frame, *area.everything, *listed, *results]
    added = [*listed, *area.everything, text]
    followed = [*results, frame, *area.everything]
    to_add = [job_state, frame, text, targets, *area.inputs]
    clip.change(explained(load), [clip, job_state], loaded, **AT_ONCE)
    frame.release(explained(show_frame), [job_state, frame, *area.inputs], area.pictures, **AT_ONCE)
    add.click(explained(add_objects), to_add, added, **AT_ONCE)
    remove.click(explained(remove_object), [job_state, number], listed, **AT_ONCE)
    # What is marked or written, and not added yet, is meant too.
    complete = run.click(explained(add_pending), to_add, added, **AT_ONCE)
    complete.success(None, js=SCROLL_TO.format("video-progress"), api_visibility="private")
    done = complete.success(
        explained(follow), [job_state, choice], followed, api_visibility="private", **CLIPS, show_progress="hidden"
    )
    done.success(None, js=SCROLL_TO.format("video-progress"), api_visibility="private")
    stop.click(explained(stop_run), job_state, None, **AT_ONCE)
    over.click(explained(start_over), job_state, followed, **AT_ONCE)
    connect_examples([clip, text], lambda example: (*example.files, example.text))
