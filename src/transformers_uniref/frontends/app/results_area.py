"""The part of a tab that shows what was found in a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...inference.results import SegmentedObject
from .legend import draw_results
from .messages import as_text, explained
from .page import PICTURES, SCROLL_TO, Page
from .picture_tasks import picture_notes, picture_rows, save_picture_results

TABLE_HEADERS = ["no.", "looked for", "score", "area %"]


def build_results_area(name: str) -> Callable[[Any, Callable[..., Any], list[Any]], None]:
    """Lays it out, empty, with this beginning of its elements' ids; called inside a `gradio.Blocks`.

    Returns:
        A function that shows there what a click gives: with the button, what then returns `shown_results`, and the
        components whose values that takes.
    """
    import gradio as gr

    notes = gr.Markdown(
        "Results appear here.", elem_id=f"{name}-notes", elem_classes="uniref-notes", min_height=40, padding=True
    )
    overlay = gr.Image(
        label="Found",
        interactive=False,
        format="png",
        visible=False,
        buttons=["download", "fullscreen"],
        alt_text="The picture with what was found; the lines above say the same in words",
        elem_id=f"{name}-overlay",
    )
    table = gr.Dataframe(
        headers=TABLE_HEADERS,
        datatype=["number", "str", "number", "number"],
        column_widths=["14%", "46%", "20%", "20%"],
        wrap=True,
        interactive=False,
        buttons=["copy"],
        visible=False,
        label="Results",
        elem_id=f"{name}-table",
    )
    files = gr.File(
        label="Overlay, masks as PNG, masks as RLE",
        file_count="multiple",
        interactive=False,
        visible=False,
        elem_id=f"{name}-files",
        elem_classes="uniref-files",
    )

    def connect(button: Any, handler: Callable[..., Any], inputs: list[Any]) -> None:
        shown = [notes, overlay, table, files]
        found = button.click(explained(handler), inputs, shown, api_name=name, **PICTURES)
        found.success(None, js=SCROLL_TO.format(f"{name}-notes"), api_visibility="private")

    return connect


def shown_results(page: Page, image: np.ndarray, found: Sequence[SegmentedObject]) -> tuple[str, Any, Any, Any]:
    """Writes the files, and gives what a results area shows of a picture, uint8 (H, W, 3), and at least one object."""
    import gradio as gr

    files = save_picture_results(page.workspace.new_folder(), draw_results(image, found), found)
    return (
        "  \n".join(as_text(note) for note in picture_notes(found)),
        gr.update(value=files[0], visible=True),
        gr.update(value=picture_rows(found), visible=True),
        gr.update(value=files, visible=True),
    )
