"""A real browser and the application as a user starts it, for the tests that click."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 120_000
"""Milliseconds; nothing waits as long unless the machine is overloaded."""


class Application:
    """`uniref app` in a process of its own, whose temporary files lie in one folder."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.temporary = Path(tempfile.mkdtemp(prefix="uniref-app-test-"))
        self.said = ""
        command = [sys.executable, "-m", "transformers_uniref", "app", "--port", str(port), *options]
        environment = {**os.environ, "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self._ready = threading.Event()
        # Reading all along, so that a full pipe never blocks the server.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if self.url in line:
                self._ready.set()
        self._ready.set()

    def wait_until_it_serves(self) -> None:
        assert self._ready.wait(300) and self.process.poll() is None, self.said

    def press_ctrl_c(self) -> int:
        """Returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        self._reader.join(10)
        return code

    def leftovers(self) -> list[Path]:
        return [path for path in self.temporary.rglob("*") if path.is_file()]

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.temporary, ignore_errors=True)


@contextmanager
def started_browser() -> Iterator[Any]:
    """A Playwright browser with a user directory of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class User:
    """One visitor: a page, and every address that it asked for."""

    def __init__(self, browser: Any, url: str, viewport: tuple[int, int] = (1400, 1100)) -> None:
        self.context = browser.new_context(viewport={"width": viewport[0], "height": viewport[1]})
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.asked_for: list[str] = []
        self.page.on("request", lambda request: self.asked_for.append(request.url))
        self.page.goto(url, wait_until="domcontentloaded")
        self.page.wait_for_selector("#sentence-run")

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name, exact=True).click()

    def send_file(self, field: str, file: Path) -> None:
        """Into the upload field whose element has this id, instead of what it holds; waits until it is there."""
        held = self.page.locator(f"#{field} .icon-button-wrapper").locator(
            "[aria-label='Remove Image'], [aria-label=Clear]"
        )
        if held.count():
            held.first.click()
        with self.page.expect_response(lambda response: "/upload" in response.url):
            self.page.locator(f"#{field} input[type=file]").first.set_input_files(file)

    def write(self, field: str, text: str) -> None:
        self.page.locator(f"#{field} textarea").first.fill(text)

    def press(self, button: str) -> None:
        self.page.locator(f"#{button}").click()

    def is_told(self, text: str) -> None:
        """Waits for a message that says this."""
        self.page.get_by_test_id("toast-text").filter(has_text=text).first.wait_for()

    def is_told_once(self, text: str) -> None:
        """The same, and there is no other message and no other sign of an error on the page."""
        self.is_told(text)
        # The title comes into sight after the text, and what is hidden goes out of it, while the page is drawn.
        deadline = time.monotonic() + 10
        while True:
            said = self.page.get_by_test_id("toast-text").all_inner_texts()
            shown = sum(sign.is_visible() for sign in self.page.get_by_text("Error", exact=True).all())
            if len(said) == 1 and shown == 1:
                return
            assert time.monotonic() < deadline, f"{said}, and {shown} titles and signs of an error instead of one title"
            self.page.wait_for_timeout(100)

    def value(self, field: str) -> str:
        """What a text field holds."""
        written: str = self.page.locator(f"#{field}").locator("textarea, input").first.input_value()
        return written

    def waits_for_value(self, field: str, value: str) -> None:
        """Until a text field holds it."""
        self.page.wait_for_function(
            "([field, value]) => document.querySelector(`#${field} textarea, #${field} input`)?.value === value",
            arg=[field, value],
        )

    def comes_to_see(self, element: str) -> None:
        """Waits until an element lies in the window, at least its upper edge (to a pixel)."""
        height, deadline = self.page.viewport_size["height"], time.monotonic() + PATIENCE / 1000
        while not -1 <= (top := self.page.locator(f"#{element}").bounding_box()["y"]) < height:
            assert time.monotonic() < deadline, f"{element} begins at {top} of {height}"
            self.page.wait_for_timeout(100)

    def cut_off(self) -> list[str]:
        """Texts and controls that reach over the right edge of the window or of a box that cuts them."""
        found: list[str] = self.page.evaluate(
            """() => [...document.querySelectorAll("[role=tabpanel] :is(th, td, button, label, input, p, a)")]
              .filter((e) => e.getClientRects().length)
              .filter((e) => {
                const right = e.getBoundingClientRect().right;
                if (right > window.innerWidth + 1) return true;
                for (let box = e.parentElement; box; box = box.parentElement) {
                  const cuts = getComputedStyle(box).overflowX !== "visible";
                  if (cuts && right > box.getBoundingClientRect().right + 1) return true;
                }
                return false;
              })
              .map((e) => `${e.tagName} ${e.ariaLabel ?? e.innerText}`)"""
        )
        return found

    def mark_by(self, tab: str, way: str) -> None:
        """Chooses how an object is marked; `tab` begins the ids of its elements."""
        self.page.locator(f"#{tab}-way").get_by_label(way).check()

    def paint(self, field: str, strokes: list[tuple[tuple[float, float], tuple[float, float]]]) -> None:
        """Draws lines in an image editor; points are shares of its picture's width and height."""
        editor = self.page.locator(f"#{field}")
        editor.scroll_into_view_if_needed()
        editor.get_by_label("Brush").first.click()
        canvas = editor.locator("canvas").first
        self._waits_for_the_picture_in(canvas)
        box = canvas.bounding_box()
        assert box is not None
        for start, end in strokes:
            self.page.mouse.move(box["x"] + start[0] * box["width"], box["y"] + start[1] * box["height"])
            self.page.mouse.down()
            self.page.mouse.move(box["x"] + end[0] * box["width"], box["y"] + end[1] * box["height"], steps=8)
            self.page.mouse.up()

    def _waits_for_the_picture_in(self, canvas: Any) -> None:
        """Until an editor has drawn its picture, in its final place: strokes that come before are lost."""
        deadline, before = time.monotonic() + PATIENCE / 1000, None
        while True:
            now = canvas.screenshot()
            colours = Image.open(io.BytesIO(now)).convert("RGB").getcolors(2**24)
            if len(colours) > 64 and now == before:
                return
            assert time.monotonic() < deadline, f"the editor shows {len(colours)} colours, no picture"
            before = now
            self.page.wait_for_timeout(200)

    def download(self, field: str, name: str) -> bytes:
        """The content of a file that a list of files offers."""
        link = self.page.locator(f"#{field} a[download='{name}']").first
        link.wait_for()
        return self.context.request.get(link.get_attribute("href")).body()
