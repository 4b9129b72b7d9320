"""The tab on which one marks an object in an example picture and finds its like in another."""

from __future__ import annotations

from typing import Any

import numpy as np

from .example_buttons import build_example_buttons
from .marking import FILE, Marking
from .marking_area import build_marking_area
from .messages import explained
from .model_cache import ModelChoice
from .page import AT_ONCE, PICTURES, SCROLL_TO, Page, own_gate
from .picture_tasks import find_by_example
from .results_area import build_results_area, shown_results
from .sentences import split_sentences
from .uploads import read_picture


def answer(
    page: Page,
    example_path: str | None,
    path: str | None,
    text: str,
    threshold: float,
    choice: ModelChoice,
    marking: Marking,
) -> tuple[Any, ...]:
    """What the results area shows, see `shown_results`.

    Raises:
        UserError: bad input; see `read_picture`, `Marking.mask`, `ModelCache.get`.
    """
    example = read_picture(example_path, "the example picture")
    mask = marking.mask((example.shape[0], example.shape[1]))
    image = read_picture(path, "the picture to search")
    sentence = " ".join(split_sentences(text, required=False)) or None
    model, processor = page.models.get(choice)
    return shown_results(page, image, find_by_example(image, example, mask, sentence, threshold, model, processor))


def example_picture(path: str | None) -> np.ndarray | None:
    """The example picture, or None where there is none yet.

    Raises:
        UserError: see `read_picture`.
    """
    return read_picture(path, "the example picture") if path else None


def build_example_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; see `build_sentence_tab`."""
    import gradio as gr

    from .picture_field import picture_field

    connect_examples = build_example_buttons(page.examples.pairs)
    with gr.Row():
        with gr.Column():
            example = picture_field("1. Example picture, to mark the object in", "example-picture", 240)
            area = build_marking_area(page, "example", [example], example_picture, one=True)
        with gr.Column():
            picture = picture_field("2. Picture to search", "example-query", 240)
            text = gr.Textbox(label="The same in words (optional)", elem_id="example-text")
            threshold = gr.Slider(
                0,
                1,
                own_gate(page, ModelChoice()),
                step=0.005,
                label="An object that scores this or less counts as absent",
            )
            button = gr.Button(
                "Find", variant="primary", elem_id="example-run", elem_classes=["uniref-run", "uniref-once"]
            )
        with gr.Column():
            results = build_results_area("example")

    def show_example(path: str | None, *marked: Any) -> Any:
        return area.redrawn(example_picture(path), Marking(*marked))

    def forget_marks(path: str | None) -> Any:
        return "", None

    def handle(path: str | None, query: str | None, words: str, least: float, model: ModelChoice, *marked: Any) -> Any:
        return answer(page, path, query, words, least, model, Marking(*marked))

    choice.change(lambda chosen: own_gate(page, chosen), choice, threshold, api_visibility="private", **PICTURES)
    example.change(explained(show_example), [example, *area.inputs], area.pictures, **AT_ONCE)
    # What was marked in one picture means nothing in another that somebody sends.
    gr.on([example.upload, example.clear], forget_marks, example, [area.clicks, area.file], **AT_ONCE)
    connect_examples(
        [example, picture, area.way, area.file, text],
        lambda chosen: (chosen.files[0], chosen.files[1], FILE, chosen.files[2], chosen.text),
    )
    found = button.click(
        explained(handle),
        [example, picture, text, threshold, choice, *area.inputs],
        results.outputs,
        api_name="example",
        **PICTURES,
    )
    found.success(None, js=SCROLL_TO.format("example-notes"), api_visibility="private")
