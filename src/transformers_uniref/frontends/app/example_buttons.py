"""Buttons that fill a tab with something to try; plain buttons, so that keys reach them too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .example_inputs import Example
from .page import AT_ONCE


def build_example_buttons(examples: list[Example]) -> Callable[[list[Any], Callable[[Example], Any]], None]:
    """Lays out a button for each example; called inside a `gradio.Blocks`, above the components that they fill.

    Returns:
        A function that connects them, to be called once these components are there: with the components, and with what
        makes their values from an example.
    """
    import gradio as gr

    with gr.Row(elem_classes="uniref-examples"):
        gr.HTML("<span>Try:</span>", elem_classes="uniref-try")
        buttons = [
            gr.Button(example.name, icon=example.icon, size="sm", min_width=120, elem_classes="uniref-example")
            for example in examples
        ]

    def connect(components: list[Any], values: Callable[[Example], Any]) -> None:
        for button, example in zip(buttons, examples, strict=True):
            button.click(lambda example=example: values(example), None, components, **AT_ONCE)

    return connect
