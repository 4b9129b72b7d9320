"""What went wrong, said on the page: one clear sentence for a user's mistake, and no inside story for a defect."""

from __future__ import annotations

import html
import inspect
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from ..errors import describe, is_users_mistake

DEFECT = "Something went wrong inside the program. Its log says what; try other input meanwhile."
SHOWN_SECONDS = 15
LABELS = {
    "model": "the model",
    "device": "the device",
    "images": "the picture",
    "text": "what to look for",
    "reference_images": "the example picture",
    "reference_masks": "the mask of the example",
    "mask": "the mask",
    "masks": "the mask",
    "video": "the clip",
    "threshold": "the score below which an object counts as absent",
}
"""What the page calls the library's arguments."""
PACKAGE_FOLDER = Path(__file__).parents[2]


def explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler (plain, or a generator) whose exceptions become messages on the page.

    A user's mistake is told in its own words; anything else is a defect, which goes to standard error with its
    traceback and to the page without.
    """

    @wraps(function)
    def plain(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Exception as error:
            raise page_error(error) from error

    @wraps(function)
    def generator(*arguments: Any) -> Iterator[Any]:
        try:
            yield from function(*arguments)
        except Exception as error:
            raise page_error(error) from error

    return generator if inspect.isgeneratorfunction(function) else plain


def page_error(error: Exception) -> Exception:
    """The same as a `gradio.Error`. Its text is shown as HTML, so that what users typed is escaped."""
    import gradio as gr

    if isinstance(error, gr.Error):
        return error
    # A file that cannot be read or written tells of this machine's folders.
    if is_users_mistake(error) and not isinstance(error, OSError):
        text = describe(error, LABELS)
        if str(error).startswith("`"):  # a label begins the sentence
            text = text[:1].upper() + text[1:]
        return gr.Error(html.escape(text), duration=SHOWN_SECONDS, print_exception=False)
    traceback.print_exception(error, file=sys.stderr)
    return gr.Error(DEFECT, duration=SHOWN_SECONDS, print_exception=False)


def as_text(words: str) -> str:
    """What somebody typed, as Markdown and HTML show it letter by letter."""
    return "".join(letter if letter.isalnum() or letter in " ,;:" else f"&#{ord(letter)};" for letter in words)


def show_warnings_on_pages() -> None:
    """From now on this package's warnings go to the page whose request raised them, and others to standard error.

    For a process that does nothing but serve: filters and the way warnings are shown belong to the whole process.
    """
    warnings.filterwarnings("always", category=UserWarning)
    warnings.showwarning = _show_warning


def _show_warning(message: Warning | str, category: type[Warning], filename: str, *_: Any, **__: Any) -> None:
    import gradio as gr
    from gradio.context import LocalContext

    text = " ".join(str(message).split())
    is_ours = Path(filename).is_relative_to(PACKAGE_FOLDER)
    if not is_ours and issubclass(category, (DeprecationWarning, FutureWarning)):
        return  # between Gradio and its libraries, at every request
    if is_ours and issubclass(category, UserWarning) and LocalContext.event_id.get(None) is not None:
        gr.Warning(html.escape(text), duration=SHOWN_SECONDS)
    else:
        print(f"uniref: warning: {text}", file=sys.stderr)
