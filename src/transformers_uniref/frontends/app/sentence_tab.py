"""The tab on which a picture is searched by one or several sentences."""

from __future__ import annotations

from typing import Any

from ...inference.pictures import segment_pictures
from ...processors.all_targets import Targets, check_targets
from .example_buttons import build_example_buttons
from .limits import MAX_OBJECTS
from .model_cache import ModelChoice
from .page import Page, gate_slider, main_button, picture_field, targets_choice
from .results_area import build_results_area, shown_results
from .sentences import split_sentences
from .uploads import read_picture


def build_sentence_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; called inside a `gradio.Blocks`. `choice` is a state of a `ModelChoice`."""
    import gradio as gr

    connect_examples = build_example_buttons(page.examples.sentences)
    with gr.Row():
        with gr.Column():
            picture = picture_field("Picture", "sentence-picture", 300)
            text = gr.Textbox(
                label=f"What to look for: one sentence a line, up to {MAX_OBJECTS}",
                lines=3,
                placeholder="the red star\nthe ring on the left",
                elem_id="sentence-text",
            )
            targets = targets_choice("sentence")
            threshold = gate_slider(page, choice, targets)
            button = main_button("Find", "sentence-run")
        with gr.Column():
            connect_results = build_results_area("sentence")

    def find(path: str | None, words: str, least: float, chosen: ModelChoice, meant: Targets) -> Any:
        check_targets(meant)
        asked = read_picture(path), split_sentences(words)
        [found] = segment_pictures(*page.models.get(chosen), [asked], threshold=least, targets=meant)
        return shown_results(page, asked[0], found)

    connect_examples([picture, text], lambda example: (*example.files, example.text))
    connect_results(button, find, [picture, text, threshold, choice, targets])
