"""The tab on which a picture is searched by one or several sentences."""

from __future__ import annotations

from typing import Any

from .limits import MAX_OBJECTS
from .messages import explained
from .model_shelf import ModelChoice
from .page import PICTURES, Page, own_gate, results_table
from .picture_tasks import find_by_sentences, picture_doubts, picture_overlay, picture_rows, save_picture_results
from .sentences import split_sentences
from .uploads import read_picture


def answer(
    page: Page, path: str | None, text: str, threshold: float, choice: ModelChoice
) -> tuple[str, list[list[Any]], list[str], str]:
    """Overlay, rows of the table, files, and what is not to be believed.

    Raises:
        UserError: bad input; see `read_picture`, `split_sentences`, `ModelShelf.get`.
    """
    sentences = split_sentences(text)
    image = read_picture(path)
    model, processor = page.shelf.get(choice)
    found = find_by_sentences(image, sentences, threshold, model, processor)
    files = save_picture_results(page.workspace.new_folder(), picture_overlay(image, found), found)
    return files[0], picture_rows(found), files, picture_doubts(found)


def build_sentence_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; called inside a `gradio.Blocks`.

    Args:
        page: what the handlers reach.
        choice: `gradio.State` of a `ModelChoice`.
    """
    import gradio as gr

    with gr.Row():
        with gr.Column():
            picture = gr.Image(
                label="Picture",
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                elem_id="sentence-picture",
            )
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
            button = gr.Button("Find", variant="primary", elem_id="sentence-run")
        with gr.Column():
            overlay = gr.Image(label="Found", interactive=False, format="png", elem_id="sentence-overlay")
            doubts = gr.HTML(elem_id="sentence-doubts")
            table = results_table()
            files = gr.File(
                label="Overlay, masks as PNG, masks as RLE",
                file_count="multiple",
                interactive=False,
                elem_id="sentence-files",
            )

    def handle(*arguments: Any) -> Any:
        return answer(page, *arguments)

    choice.change(lambda chosen: own_gate(page, chosen), choice, threshold, api_visibility="private", **PICTURES)
    button.click(
        explained(handle),
        [picture, text, threshold, choice],
        [overlay, table, files, doubts],
        api_name="sentence",
        **PICTURES,
    )
    gr.Examples(page.examples.sentences, [picture, text], cache_examples=False, label="Try one of these")
