"""The page's colours."""

from __future__ import annotations

from typing import Any


def page_theme() -> Any:
    """Gradio's default theme with letters that stand out from their ground by 4.5 to 1 at least, in light and dark."""
    import gradio as gr

    grounds = {
        "button_primary_background_fill": "*primary_700",
        "button_primary_background_fill_hover": "*primary_800",
        "button_cancel_background_fill": "#b91c1c",
        "button_cancel_background_fill_hover": "#991b1b",
    }
    letters = {
        "button_primary_text_color": "white",
        "button_cancel_text_color": "white",
    }
    same = {**grounds, **letters}
    return gr.themes.Default(primary_hue="blue").set(
        **same,
        **{f"{name}_dark": value for name, value in same.items()},
        block_label_text_color="*neutral_600",
        block_title_text_color="*neutral_700",
        input_placeholder_color="*neutral_500",
        block_label_text_color_dark="*neutral_300",
        block_title_text_color_dark="*neutral_200",
        input_placeholder_color_dark="*neutral_400",
    )
