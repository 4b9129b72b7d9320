"""The tab on which a picture is searched by one or several sentences."""

from __future__ import annotations

from typing import Any

from .example_buttons import build_example_buttons
from .limits import MAX_OBJECTS
from .messages import explained
from .model_cache import ModelChoice
from .page import PICTURES, SCROLL_TO, Page, own_gate
from .picture_tasks import find_by_sentences
from .results_area import build_results_area, shown_results
from .sentences import split_sentences
from .uploads import read_picture


def answer(page: Page, path: str | None, text: str, threshold: float, choice: ModelChoice) -> tuple[Any, ...]:
    """What the results area shows, see `shown_results`.

    Raises:
        UserError: bad input; see `read_picture`, `split_sentences`, `ModelCache.get`.
    """
    image = read_picture(path)
    sentences = split_sentences(text)
    model, processor = page.models.get(choice)
    return shown_results(page, image, find_by_sentences(image, sentences, threshold, model, processor))


def build_sentence_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; called inside a `gradio.Blocks`.

    Args:
        page: what the handlers reach.
        choice: `gradio.State` of a `ModelChoice`.
    """
    import gradio as gr

    from .picture_field import picture_field

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
            threshold = gr.Slider(
                0,
                1,
                own_gate(page, ModelChoice()),
                step=0.005,
                label="An object that scores this or less counts as absent",
            )
            button = gr.Button(
                "Find", variant="primary", elem_id="sentence-run", elem_classes=["uniref-run", "uniref-once"]
            )
        with gr.Column():
            results = build_results_area("sentence")

    def handle(*arguments: Any) -> Any:
        return answer(page, *arguments)

    choice.change(lambda chosen: own_gate(page, chosen), choice, threshold, api_visibility="private", **PICTURES)
    connect_examples([picture, text], lambda example: (*example.files, example.text))
    found = button.click(
        explained(handle), [picture, text, threshold, choice], results.outputs, api_name="sentence", **PICTURES
    )
    found.success(None, js=SCROLL_TO.format("sentence-notes"), api_visibility="private")
