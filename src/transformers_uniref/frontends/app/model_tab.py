"""The tab on which the model is chosen."""

from __future__ import annotations

from typing import Any

from ..errors import UserError
from . import released_models
from .messages import explained
from .model_cache import BUNDLED, FOLDER, HUB, RELEASED, ModelChoice
from .page import PICTURES, Page, main_button


def build_model_tab(page: Page, choice: Any) -> None:
    """Lays the tab out and connects it; see `build_sentence_tab`."""
    import gradio as gr

    models, settings = page.models, page.settings
    described = {
        BUNDLED: "the model of the start" if settings.model else "the bundled one: small",
        RELEASED: "the authors' weights: made for photographs",
        FOLDER: "a folder of this machine",
        HUB: "a model of the Hub",
    }
    kind = gr.Radio(
        [(described[name], name) for name in models.kinds], value=BUNDLED, label="Model", elem_id="model-kind"
    )
    folder = gr.Dropdown(
        models.folders(),
        label="Folder" if settings.allow_folders else "One of these folders",
        allow_custom_value=settings.allow_folders,
        visible=False,
        elem_id="model-folder",
    )
    released = gr.Dropdown(
        released_models.choices(), label="The authors' weights", visible=False, elem_id="model-released"
    )
    fetch = gr.Button("Fetch it", visible=False, elem_id="model-fetch")
    hub = gr.Textbox(label="Hub id", placeholder="owner/name", visible=False, elem_id="model-hub")
    button = main_button("Use this model", "model-use")
    status = gr.Markdown("In use: the model of the start.", elem_id="model-status")

    def show_fields(chosen: str) -> Any:
        authors = chosen == RELEASED
        return (
            gr.update(visible=authors),
            gr.update(visible=authors and settings.may_fetch),
            gr.update(visible=chosen == FOLDER),
            gr.update(visible=chosen == HUB),
        )

    def fetch_released(name: str | None) -> Any:
        if not settings.may_fetch or not name:
            raise UserError("Choose one of the listed models first.")
        for line in released_models.fetch(name):
            yield line, gr.skip()
        yield line, gr.update(choices=released_models.choices(), value=name)

    def use(chosen: str, released_name: str | None, folder_name: str | None, hub_name: str | None) -> Any:
        names = {RELEASED: released_name, FOLDER: folder_name, HUB: hub_name}
        wanted = ModelChoice(chosen, (names.get(chosen) or "").strip())
        model, _ = models.get(wanted)
        count = sum(parameter.numel() for parameter in model.parameters())
        named = str(wanted).replace("`", "'")  # as Markdown shows it letter by letter
        return wanted, f"In use: `{named}` ({type(model).__name__}, {count / 1e6:.1f} million parameters)."

    kind.change(show_fields, kind, [released, fetch, folder, hub], api_visibility="private", queue=False)
    fetch.click(
        explained(fetch_released),
        released,
        [status, released],
        api_visibility="private",
        concurrency_limit=1,
        concurrency_id="fetch",
        show_progress="hidden",
    )
    button.click(
        explained(use),
        [kind, released, folder, hub],
        [choice, status],
        api_visibility="private",
        **PICTURES,
    )
