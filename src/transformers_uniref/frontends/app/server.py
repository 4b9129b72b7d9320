"""Starting and ending the application."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...core.optional import require
from ..errors import UserError
from .limits import MAX_UPLOAD_BYTES
from .settings import AppSettings

ASSETS = Path(__file__).with_name("assets")


class LocalFilesOnly:
    """ASGI middleware that refuses requests in which the server would fetch an address on a visitor's behalf."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope.get("path", "")
        fetches = "/proxy=" in path or any(f"/file={scheme}:" in path.lower() for scheme in ("http", "https"))
        if scope["type"] == "http" and fetches:
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"This server gives its own files only."})
            return
        await self.app(scope, receive, send)


@contextmanager
def running(settings: AppSettings) -> Iterator[str]:
    """Serves the application in the background while the block runs, and gives its address; a model is loaded first.

    Raises:
        MissingExtraError: Gradio or PyAV is not installed.
    """
    # Gradio reads this when it is imported; it would report that it was started.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    require("gradio", "app", "uniref app")
    require("av", "app", "uniref app, which reads and writes videos,")
    from .example_inputs import make_examples
    from .interface import build_interface
    from .model_cache import ModelCache, ModelChoice
    from .page import Page
    from .workspace import Workspace

    models = ModelCache(settings)
    models.get(ModelChoice())
    with Workspace() as workspace:
        page = Page(settings, models, workspace, make_examples(workspace.new_folder("examples")))
        blocks = build_interface(page)
        try:
            yield _launch(blocks, settings)
        finally:
            blocks.close(verbose=False)


def _launch(blocks: Any, settings: AppSettings) -> str:
    from starlette.middleware import Middleware

    from .theme import page_theme

    try:
        _, local_url, public_url = blocks.launch(
            server_name=settings.host,
            server_port=settings.port,
            share=settings.share,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=MAX_UPLOAD_BYTES,
            allowed_paths=[],
            app_kwargs={"middleware": [Middleware(LocalFilesOnly)]},
            theme=page_theme(),
            css_paths=ASSETS / "page.css",
            js=(ASSETS / "page.js").read_text(),
            footer_links=["settings"],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
        )
    except OSError as error:
        where = f"{settings.host}:{settings.port}" if settings.port else settings.host
        raise UserError(f"--host, --port: {where} cannot be listened on, it may be taken ({error})") from error
    return public_url or local_url


def serve(settings: AppSettings) -> None:
    """Serves the application until the process is told to end (Ctrl-C, SIGTERM); see `running`."""
    from .messages import show_warnings_on_pages

    ended = threading.Event()
    previous = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings(), running(settings) as url:
            show_warnings_on_pages()
            print(f"uniref app: {url} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            # A wait without end would not let the signal's handler run on every platform.
            while not ended.wait(0.5):
                pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    print("uniref app: ended", file=sys.stderr)
