"""The authors' weights on the page: which there are, and fetching them with the progress in sight."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from ...core.model_home import is_here
from ...core.optional import MissingExtraError
from ...core.released_models import RELEASED
from ..errors import UserError, describe

_SECONDS_BETWEEN_LINES = 0.5


def choices() -> list[tuple[str, str]]:
    """(what the list shows, name) of each that does one of the four tasks."""
    return [
        (
            f"{weights.name}: {weights.backbone}, {'all four tasks' if len(weights.tasks) == 4 else 'pictures only'}, "
            f"{'here' if is_here(weights.name) else f'{weights.megabytes} MB to fetch'}",
            weights.name,
        )
        for weights in RELEASED
        if weights.tasks
    ]


def fetch(name: str) -> Iterator[str]:
    """Downloads and converts weights; a line of Markdown now and then, the last says that they are here."""
    from ...conversion.download import download

    line = f"Fetching {name} ..."
    outcome: list[BaseException | None] = []

    def progress(done: int, total: int | None) -> None:
        nonlocal line
        of = f" of {total / 1e6:,.0f}" if total else ""
        line = f"Fetching {name}: {done / 1e6:,.0f}{of} MB"

    def tell(step: str) -> None:
        nonlocal line
        if step in ("checking", "converting"):
            line = f"{step.capitalize()} {name} ..."

    def work() -> None:
        try:
            download(name, progress=progress, tell=tell)
            outcome.append(None)
        except BaseException as error:  # carried to the thread that the page waits for
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while thread.is_alive():
        yield line
        thread.join(_SECONDS_BETWEEN_LINES)
    error = outcome[0] if outcome else None
    if isinstance(error, (OSError, MissingExtraError)):
        raise UserError(describe(error, {"text_encoder": f"uniref download {name} --text-encoder DIR"})) from error
    if error is not None:
        raise error
    yield f"{name} is here: press “Use this model”."
