"""What the tabs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...processors.all_targets import Targets
from .example_inputs import ExampleInputs
from .limits import CLIPS_AT_ONCE, EDITOR_SIDE, PICTURES_AT_ONCE
from .model_cache import ModelCache, ModelChoice
from .settings import AppSettings
from .uploads import fitted
from .workspace import Workspace

BRUSH_COLOUR = "#ff2d55"

PICTURES: dict[str, Any] = {"concurrency_id": "pictures", "concurrency_limit": PICTURES_AT_ONCE}
CLIPS: dict[str, Any] = {"concurrency_id": "clips", "concurrency_limit": CLIPS_AT_ONCE}
"""In which queue a handler waits."""

AT_ONCE: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
"""Of handlers that fill or redraw parts of the page, and wait for no model."""

SCROLL_TO = "() => unirefScrollTo('{}')"
"""JavaScript that brings an element into view if it is not there; see assets/page.js."""


@dataclass(frozen=True)
class Page:
    """What the handlers of every tab reach."""

    settings: AppSettings
    models: ModelCache
    workspace: Workspace
    examples: ExampleInputs


def mask_editor(label: str, elem_id: str) -> Any:
    """An image editor in which one can paint, and nothing else: the picture comes from elsewhere on the page."""
    import gradio as gr

    return gr.ImageEditor(
        label=label,
        elem_id=elem_id,
        elem_classes="uniref-editor",
        type="numpy",
        sources=(),
        transforms=(),
        layers=gr.LayerOptions(allow_additional_layers=False, disabled=True),
        brush=gr.Brush(default_size=24, colors=[BRUSH_COLOUR], color_mode="fixed"),
        eraser=gr.Eraser(default_size=24),
        canvas_size=(EDITOR_SIDE, EDITOR_SIDE),
        buttons=[],
        format="png",
    )


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


def editor_value(page: Page, picture: np.ndarray | None) -> Any:
    """A picture to draw on, without strokes; uint8 (H, W, 3), or None for none."""
    if picture is None:
        return None
    background = page.workspace.shown(fitted(picture, EDITOR_SIDE, EDITOR_SIDE), "picture.png")
    return {"background": background, "layers": [], "composite": background}


def own_gate(page: Page, choice: ModelChoice, targets: Targets = "one") -> float:
    """The score gate that the chosen model carries; 0 for none."""
    return page.models.get(choice)[1].picture_gate(targets) or 0.0


def gate_slider(page: Page, choice: Any, targets: Any = None) -> Any:
    """The score gate of a tab, which begins at the own one of the chosen model.

    `choice` is a state of a choice, `targets` a `targets_choice` where the tab has one: each has a gate of its own.
    """
    import gradio as gr

    label = "An object that scores this or less counts as absent"
    slider = gr.Slider(0, 1, own_gate(page, ModelChoice()), step=0.005, label=label)
    decisive = [choice] if targets is None else [choice, targets]
    for one in decisive:
        one.change(lambda *chosen: own_gate(page, *chosen), decisive, slider, api_visibility="private", **PICTURES)
    return slider


def targets_choice(name: str) -> Any:
    """Whether a sentence means the best object or all that it is true of: "one" or "all"."""
    import gradio as gr

    choices = [("the best object", "one"), ("all objects: none, one or many", "all")]
    return gr.Radio(choices, value="one", label="A sentence means", elem_id=f"{name}-targets")


def main_button(label: str, elem_id: str, **options: Any) -> Any:
    """The button of a tab that makes the model work, and takes no second click meanwhile."""
    import gradio as gr

    looks = {"variant": "primary", "elem_classes": ["uniref-run", "uniref-once"], **options}
    return gr.Button(label, elem_id=elem_id, **looks)
