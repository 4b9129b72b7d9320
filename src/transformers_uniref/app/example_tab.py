"""The tab on which one marks an object in an example picture and finds its like in another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .drawn_masks import drawn_mask
from .messages import explained
from .model_shelf import ModelChoice
from .page import PICTURES, Page, editor_value, mask_editor, own_gate, results_table
from .picture_tasks import find_by_example, picture_doubts, picture_overlay, picture_rows, save_picture_results
from .sentences import split_sentences
from .uploads import read_picture


def answer(
    page: Page,
    example_path: str | None,
    editor: Mapping[str, Any] | None,
    path: str | None,
    text: str,
    threshold: float,
    choice: ModelChoice,
) -> tuple[str, list[list[Any]], list[str], str]:
    """Overlay, rows of the table, files, and what is not to be believed.

    Raises:
        UserError: bad input; see `read_picture`, `drawn_mask`, `ModelShelf.get`.
    """
    example = read_picture(example_path, "the example picture")
    mask = drawn_mask(editor, (example.shape[0], example.shape[1]))
    image = read_picture(path, "the picture to search")
    sentence = " ".join(split_sentences(text, required=False)) or None
    model, processor = page.shelf.get(choice)
    found = find_by_example(image, example, mask, sentence, threshold, model, processor)
    files = save_picture_results(page.workspace.new_folder(), picture_overlay(image, found), found)
    return files[0], picture_rows(found), files, picture_doubts(found)


def build_example_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; see `build_sentence_tab`."""
    import gradio as gr

    with gr.Row():
        with gr.Column():
            example = gr.Image(
                label="1. Example picture",
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                elem_id="example-picture",
            )
            editor = mask_editor("2. Paint over the object in it", "example-editor")
        with gr.Column():
            picture = gr.Image(
                label="3. Picture to search",
                type="filepath",
                image_mode=None,
                sources=["upload", "clipboard"],
                elem_id="example-query",
            )
            text = gr.Textbox(label="The same in words (optional)", elem_id="example-text")
            threshold = gr.Slider(
                0,
                1,
                own_gate(page, ModelChoice()),
                step=0.005,
                label="An object that scores this or less counts as absent",
            )
            button = gr.Button("Find", variant="primary", elem_id="example-run")
        with gr.Column():
            overlay = gr.Image(label="Found", interactive=False, format="png", elem_id="example-overlay")
            doubts = gr.HTML(elem_id="example-doubts")
            table = results_table()
            files = gr.File(
                label="Overlay, masks as PNG, masks as RLE",
                file_count="multiple",
                interactive=False,
                elem_id="example-files",
            )

    def show_example(path: str | None) -> Any:
        return editor_value(page, None if path is None else read_picture(path, "the example picture"))

    def handle(*arguments: Any) -> Any:
        return answer(page, *arguments)

    example.change(explained(show_example), example, editor, api_visibility="private", **PICTURES)
    choice.change(lambda chosen: own_gate(page, chosen), choice, threshold, api_visibility="private", **PICTURES)
    button.click(
        explained(handle),
        [example, editor, picture, text, threshold, choice],
        [overlay, table, files, doubts],
        api_name="example",
        **PICTURES,
    )
    gr.Examples(page.examples.pairs, [example, picture], cache_examples=False, label="Try one of these")
