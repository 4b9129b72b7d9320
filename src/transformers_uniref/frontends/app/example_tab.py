"""The tab on which one marks an object in an example picture and finds its like in another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...inference.pictures import segment_pictures
from .example_buttons import build_example_buttons
from .marking import FILE, Marking
from .marking_area import build_marking_area
from .messages import explained
from .model_cache import ModelChoice
from .page import AT_ONCE, Page, gate_slider, main_button, picture_field
from .results_area import build_results_area, shown_results
from .sentences import split_sentences
from .uploads import read_picture

BY_EXAMPLE = "like the example"


def example_picture(path: str | None) -> np.ndarray | None:
    """The example picture, or None where there is none yet."""
    return read_picture(path, "the example picture") if path else None


def build_example_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; see `build_sentence_tab`."""
    import gradio as gr

    connect_examples = build_example_buttons(page.examples.pairs)
    with gr.Row():
        with gr.Column():
            example = picture_field("1. Example picture, to mark the object in", "example-picture", 240)
            area = build_marking_area(page, "example", [example], example_picture, one=True)
        with gr.Column():
            picture = picture_field("2. Picture to search", "example-query", 240)
            text = gr.Textbox(label="The same in words (optional)", elem_id="example-text")
            threshold = gate_slider(page, choice)
            button = main_button("Find", "example-run")
        with gr.Column():
            connect_results = build_results_area("example")

    def show_example(path: str | None, *marked: Any) -> Any:
        return area.redrawn(example_picture(path), Marking(*marked))

    def forget_marks(path: str | None) -> Any:
        return "", None

    def find(path: str | None, query: str | None, words: str, least: float, chosen: ModelChoice, *marked: Any) -> Any:
        shown = read_picture(path, "the example picture")
        mask = Marking(*marked).mask((shown.shape[0], shown.shape[1]))
        image = read_picture(query, "the picture to search")
        sentences = [" ".join(lines)] if (lines := split_sentences(words, required=False)) else []
        [found] = segment_pictures(
            *page.models.get(chosen),
            [(image, sentences)],
            reference_images=[shown],
            reference_masks=[mask],
            threshold=least,
        )
        return shown_results(page, image, [replace(item, label=item.label or BY_EXAMPLE) for item in found])

    example.change(explained(show_example), [example, *area.inputs], area.pictures, **AT_ONCE)
    # What was marked in one picture means nothing in another that somebody sends.
    gr.on([example.upload, example.clear], forget_marks, example, [area.clicks, area.file], **AT_ONCE)
    connect_examples(
        [example, picture, area.way, area.file, text],
        lambda chosen: (chosen.files[0], chosen.files[1], FILE, chosen.files[2], chosen.text),
    )
    connect_results(button, find, [example, picture, text, threshold, choice, *area.inputs])
