"""Ctrl-C and SIGTERM as a wish to stop, granted after the step in progress."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def stopping_gently(request_stop: Callable[[], None]) -> Iterator[None]:
    """Call `request_stop` at the first SIGINT or SIGTERM instead of ending the process; a second one ends it at once.

    Only the main thread may handle signals; in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous: dict[int, Any] = {}

    def handle(number: int, frame: Any) -> None:
        request_stop()
        signal.signal(number, previous[number])

    for number in (signal.SIGINT, signal.SIGTERM):
        previous[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for signal_number, handler in previous.items():
            signal.signal(signal_number, handler)
