"""The part of a tab that shows what was found in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...inference.results import SegmentedObject
from .legend import draw_results
from .messages import as_text
from .page import Page
from .picture_tasks import picture_notes, picture_rows, save_picture_results

TABLE_HEADERS = ["no.", "looked for", "score", "area %"]


@dataclass(frozen=True)
class ResultsArea:
    """Its components, in the order of what `shown_results` returns."""

    notes: Any
    overlay: Any
    table: Any
    files: Any

    @property
    def outputs(self) -> list[Any]:
        """All of them."""
        return [self.notes, self.overlay, self.table, self.files]


def build_results_area(name: str) -> ResultsArea:
    """Lays it out, empty; called inside a `gradio.Blocks`.

    Args:
        name: begins the ids of its elements.
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
    return ResultsArea(notes, overlay, table, files)


def shown_results(page: Page, image: np.ndarray, found: Sequence[SegmentedObject]) -> tuple[str, Any, Any, Any]:
    """Writes the files, and gives what the components of a `ResultsArea` show.

    Args:
        page: what the handlers reach.
        image: the picture that was searched, uint8 (H, W, 3).
        found: at least one result.
    """
    import gradio as gr

    files = save_picture_results(page.workspace.new_folder(), draw_results(image, found), found)
    return (
        "  \n".join(as_text(note) for note in picture_notes(found)),
        gr.update(value=files[0], visible=True),
        gr.update(value=picture_rows(found), visible=True),
        gr.update(value=files, visible=True),
    )
