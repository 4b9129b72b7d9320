"""The field for a picture that users send."""

from __future__ import annotations

from typing import Any


def picture_field(label: str, elem_id: str, height: int) -> Any:
    """An empty `gradio.Image` that hands the file on as it came: `read_picture` decides what it is."""
    import gradio as gr

    field = gr.Image(
        label=label,
        type="filepath",
        image_mode=None,
        sources=["upload", "clipboard"],
        height=height,
        buttons=["fullscreen"],
        alt_text=label,
        elem_id=elem_id,
    )
    # Gradio's own would open the file first, and end in an error without words on the page where it cannot. A subclass
    # would say so more plainly, but Gradio writes a stub file beside the source of every subclass.
    field.preprocess = lambda payload: None if payload is None else str(payload.path)  # type: ignore[method-assign]
    return field
