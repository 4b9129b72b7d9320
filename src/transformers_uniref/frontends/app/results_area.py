"""The part of a tab that shows what was found in a picture: in words, drawn, in a table, and as files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.json_writing import to_json
from ...core.palette import save_label_map
from ...core.score_gate import none_passed
from ...inference.results import SegmentedObject, label_map, unknown_words
from .legend import draw_results
from .messages import as_text, explained
from .page import PICTURES, SCROLL_TO, Page

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


def picture_rows(found: Sequence[SegmentedObject]) -> list[list[Any]]:
    """Rows of the table: object, sentence, score, share of the picture in percent."""
    return [
        [number, item.label, round(item.score, 3), round(100 * float(item.mask.mean()), 2)]
        for number, item in enumerate(found, start=1)
    ]


def picture_notes(found: Sequence[SegmentedObject]) -> list[str]:
    """The results in words, a line for each thing that must be said: what was found, what was not, and what not to
    believe: unknown words, and that no answer passed the threshold."""
    groups = (
        ("Found", [item for item in found if item.is_found]),
        ("Not found", [item for item in found if not item.is_found]),
    )
    notes = [
        f"{name}: {'; '.join(f'{item.label} ({item.score:.2f})' for item in items)}." for name, items in groups if items
    ]
    if unknown := unknown_words(found):
        notes.append(f"unknown to this model: {', '.join(unknown)}")
    gate = found[0].threshold
    if gate is not None and not any(item.passed for item in found):
        notes.append(f"{none_passed(gate, max(item.score for item in found))}: a lower threshold shows it")
    return notes


def save_picture_results(folder: Path, overlay: np.ndarray, found: Sequence[SegmentedObject]) -> list[str]:
    """Writes overlay, label map and run-length code into a folder.

    The files that come back are `overlay.png`, `masks.png` (palette PNG of the picture's size; where masks overlap, the
    better score wins) and `masks.json` (COCO's run-length code of each whole mask).
    """
    Image.fromarray(overlay).save(folder / "overlay.png")
    save_label_map(folder / "masks.png", label_map(found))
    keys = ("id", "text", "score", "box", "segmentation")
    objects = [item.summary(*keys, number=number) for number, item in enumerate(found, start=1)]
    height, width = found[0].mask.shape
    (folder / "masks.json").write_text(to_json({"height": height, "width": width, "objects": objects}))
    return [str(folder / name) for name in ("overlay.png", "masks.png", "masks.json")]
