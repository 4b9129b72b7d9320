"""The whole page."""

from __future__ import annotations

from typing import Any

from .example_tab import build_example_tab
from .limits import FORGET_AFTER_SECONDS, QUEUE_LENGTH
from .model_cache import ModelChoice
from .model_tab import build_model_tab
from .page import Page
from .sentence_tab import build_sentence_tab
from .video_tab import build_video_tab

TITLE = "UniRef++"
INTRODUCTION = """# UniRef++: segment what you refer to
By a sentence, by an example that you mark, or by both, in pictures and videos."""
ABOUT_BUNDLED = """The bundled model is small: right about common things in plain view, often wrong about the rest.
Other weights can be chosen on the tab *Model*."""


def build_interface(page: Page) -> Any:
    """A `gradio.Blocks` with its queue, not yet served."""
    import gradio as gr

    sweep = (FORGET_AFTER_SECONDS // 4, FORGET_AFTER_SECONDS)
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=sweep) as blocks:
        choice = gr.State(ModelChoice())
        gr.Markdown(INTRODUCTION if page.settings.model else f"{INTRODUCTION}\n{ABOUT_BUNDLED}")
        with gr.Tab("Sentence"):
            build_sentence_tab(page, choice)
        with gr.Tab("Example"):
            build_example_tab(page, choice)
        with gr.Tab("Video"):
            build_video_tab(page, choice)
        with gr.Tab("Model"):
            build_model_tab(page, choice)
    return blocks.queue(max_size=QUEUE_LENGTH)
