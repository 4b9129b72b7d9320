"""The part of a tab in which an object is marked in a picture; two tabs have it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import UserError
from .clicks import add_click, without_last_click
from .limits import EDITOR_SIDE
from .marking import BOX, CLICK, FILE, PAINT, WAYS, Marking
from .messages import explained
from .page import AT_ONCE, Page, editor_value, mask_editor

PREVIEW_LABELS = {CLICK: "Click on the object", BOX: "Click on two opposite corners", FILE: "What the mask marks"}
CLICKS_LABELS = {CLICK: "Points in pixels: x, y a line, or not x, y", BOX: "Box in pixels: x0, y0, x1, y1"}


@dataclass(frozen=True)
class MarkingArea:
    """Its components.

    Attributes:
        page: what the handlers reach.
        whole: all of it; hidden until there is a picture.
        way: how the object is marked.
        editor, clicks, file, number: what was marked in each way; see `Marking`.
        preview: the picture to click on, or with the mask of a file.
    """

    page: Page
    whole: Any
    way: Any
    editor: Any
    clicks: Any
    file: Any
    number: Any
    preview: Any

    @property
    def inputs(self) -> list[Any]:
        """Components whose values are the arguments of `Marking`, in order."""
        return [self.way, self.editor, self.clicks, self.file, self.number]

    @property
    def pictures(self) -> list[Any]:
        """Components that `redrawn` fills."""
        return [self.whole, self.editor, self.preview]

    @property
    def everything(self) -> list[Any]:
        """Components that `emptied` fills."""
        return [*self.pictures, self.clicks, self.file, self.number]

    def redrawn(self, picture: np.ndarray | None, marking: Marking) -> tuple[Any, Any, Any]:
        """Values of `pictures`, with all of the marking but its strokes; the picture is uint8 (H, W, 3), or None."""
        import gradio as gr

        # Once it is there it stays: an editor that is built anew with each picture flickers and may fail.
        whole = gr.skip() if picture is None else gr.update(visible=True)
        return whole, editor_value(self.page, picture), self.previewed(picture, marking)

    def previewed(self, picture: np.ndarray | None, marking: Marking) -> str | None:
        """Value of `preview`; see `redrawn`."""
        return None if picture is None else self.page.workspace.shown(marking.preview(picture), "marked.png")

    def emptied(self, picture: np.ndarray | None) -> tuple[Any, ...]:
        """Values of `everything` with nothing marked in the picture."""
        return *self.redrawn(picture, Marking()), "", None, objects_of_mask([])


def objects_of_mask(numbers: list[int], *, choose: bool = True, chosen: str | None = None) -> Any:
    """An update of the list from which one object of a mask file is chosen; hidden where there is no choice.

    A file is told of twice now and then: what is `chosen` by then, and is in the file, stays as it is.
    """
    import gradio as gr

    names = [str(number) for number in numbers]
    several = choose and len(names) > 1
    if several and chosen in names:
        return gr.update(choices=names, visible=True)
    return gr.update(choices=names if several else [], value=names[0] if several else None, visible=several)


def build_marking_area(
    page: Page, name: str, sources: list[Any], picture_of: Callable[..., np.ndarray | None], *, one: bool
) -> MarkingArea:
    """Lays it out and connects it; called inside a `gradio.Blocks`.

    Args:
        page: what the handlers reach.
        name: begins the ids of its elements.
        sources: components whose values tell the picture.
        picture_of: from these values to the picture, uint8 (H, W, 3), or None for none.
        one: one object is marked, so that one of a mask file with several is chosen; otherwise all of them count.
    """
    import gradio as gr

    with gr.Column(visible=False, min_width=0) as whole:
        way = gr.Radio(list(WAYS.items()), value=PAINT, label="Mark the object by", elem_id=f"{name}-way")
        editor = mask_editor("Paint over it", f"{name}-editor")
        file = gr.File(
            label="Mask file: black and white, or an id for each object",
            file_types=["image"],
            visible=False,
            height=120,
            elem_id=f"{name}-mask",
        )
        # Its choices change with the file, also while another event is on its way with an older value, which Gradio
        # would refuse; `Marking` says what is wrong with a number.
        number = gr.Dropdown(
            [],
            label="Object of the mask file",
            allow_custom_value=True,
            visible=False,
            elem_id=f"{name}-mask-number",
        )
        preview = gr.Image(
            interactive=False,
            visible=False,
            buttons=[],
            height=EDITOR_SIDE // 2,
            alt_text="The picture, and what is marked in it",
            elem_id=f"{name}-preview",
        )
        with gr.Row(visible=False) as typed:
            clicks = gr.Textbox(lines=1, max_lines=4, scale=3, min_width=160, elem_id=f"{name}-clicks")
            beside = gr.Checkbox(label="It is not there", min_width=90, visible=not one, elem_id=f"{name}-beside")
            undo = gr.Button("Undo", size="sm", min_width=70, elem_id=f"{name}-undo", elem_classes="uniref-undo")
            clear = gr.Button("Clear", size="sm", min_width=70, elem_id=f"{name}-clear")
    area = MarkingArea(page, whole, way, editor, clicks, file, number, preview)

    def parts(values: tuple[Any, ...]) -> tuple[np.ndarray | None, Marking]:
        """The picture, unless it is a bad one, which was told when it came; and what is marked."""
        try:
            picture = picture_of(*values[: len(sources)])
        except UserError:
            picture = None
        return picture, Marking(*values[len(sources) :])

    def show_way(*values: Any) -> tuple[Any, ...]:
        picture, marking = parts(values)
        chosen, clicked = marking.way, marking.way in CLICKS_LABELS
        label, value = PREVIEW_LABELS.get(chosen), area.previewed(picture, replace(marking, clicks=""))
        return (
            gr.update(visible=chosen == PAINT or "hidden"),  # not taken away, so that strokes stay
            gr.update(visible=chosen == FILE),
            gr.update(visible=chosen == FILE and bool(marking.number)),
            gr.update(visible=chosen != PAINT, label=label, value=value),
            gr.update(visible=clicked),
            gr.update(value="", label=CLICKS_LABELS.get(chosen)),
        )

    def show_preview(*values: Any) -> Any:
        return area.previewed(*parts(values))

    def change_clicks(values: tuple[Any, ...], change: Callable[[Marking, np.ndarray], str]) -> tuple[Any, Any]:
        picture, marking = parts(values)
        if picture is None:
            raise UserError("Choose the picture first.")
        marking = replace(marking, clicks=change(marking, picture))
        return marking.clicks, area.previewed(picture, marking)

    def on_click(event: Any, *given: Any) -> tuple[Any, Any]:
        *values, is_beside = given

        def add(marking: Marking, picture: np.ndarray) -> str:
            if marking.way == FILE:
                return ""
            place = pixel_of(event.index, (picture.shape[0], picture.shape[1]))
            return add_click(marking.clicks, place, box=marking.way == BOX, beside=bool(is_beside))

        return change_clicks(tuple(values), add)

    on_click.__annotations__["event"] = gr.SelectData

    def undo_click(*values: Any) -> tuple[Any, Any]:
        return change_clicks(values, lambda marking, _: without_last_click(marking.clicks))

    def clear_clicks(*values: Any) -> tuple[Any, Any]:
        return change_clicks(values, lambda marking, _: "")

    def load_mask(*values: Any) -> tuple[Any, Any]:
        picture, marking = parts(values)
        before, marking = marking.number, replace(marking, number=None)
        if picture is None or not marking.file:
            return objects_of_mask([]), area.previewed(picture, marking)
        numbers = list(marking.masks((picture.shape[0], picture.shape[1])))
        first = before if before in [str(number) for number in numbers] else str(numbers[0])
        chosen = replace(marking, number=first if one else None)
        return objects_of_mask(numbers, choose=one, chosen=before), area.previewed(picture, chosen)

    state = [*sources, *area.inputs]
    way.change(explained(show_way), state, [editor, file, number, preview, typed, clicks], **AT_ONCE)
    # A click that comes while the one before is drawn waits for it, and adds to its text.
    preview.select(explained(on_click), [*state, beside], [clicks, preview], trigger_mode="always_last", **AT_ONCE)
    clicks.input(explained(show_preview), state, preview, trigger_mode="always_last", **AT_ONCE)
    undo.click(explained(undo_click), state, [clicks, preview], **AT_ONCE)
    clear.click(explained(clear_clicks), state, [clicks, preview], **AT_ONCE)
    number.input(explained(show_preview), state, preview, **AT_ONCE)
    file.change(explained(load_mask), state, [number, preview], **AT_ONCE)
    return area


def pixel_of(index: Any, size: tuple[int, int]) -> tuple[float, float]:
    """Where in a picture someone clicked: x, y in its pixels, to a tenth, inside it.

    `index` is x, y in the preview, whose longer side is `EDITOR_SIDE`; `size` the picture's (height, width).
    """
    scale = max(size) / EDITOR_SIDE
    x, y = ((float(value) + 0.5) * scale for value in index)
    return round(min(max(x, 0), size[1]), 1), round(min(max(y, 0), size[0]), 1)
