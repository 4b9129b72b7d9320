"""How a command ends when somebody else ends it: a signal, or a reader of its output that went away."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt in the block, as Ctrl-C does, so that what was half done is removed.

    A second one ends the process at once. Only the main thread can have this; processes that are forked in the block
    end at once, and who ignores the signal goes on ignoring it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None or previous == signal.SIG_IGN:
        yield
        return
    owner = os.getpid()

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != owner:
            os.kill(os.getpid(), number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def stdout_is_lost() -> bool:
    """Whether nothing can be written to standard output any more: its reader went away, or its disk is full.

    What is still to be written then goes nowhere; Python would complain about it at its exit.
    """
    try:
        sys.stdout.flush()
        lost = _nobody_reads()
    except OSError:
        lost = True
    if lost:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
    return lost


def _nobody_reads() -> bool:
    """Whether standard output is a pipe without a reader; a stream without a buffer has nothing left to flush."""
    if not hasattr(select, "poll"):  # Windows
        return False
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))


@contextmanager
def interruption_between_steps() -> Iterator[Callable[[], bool]]:
    """Puts Ctrl-C and SIGTERM off: gives a function that says whether one came, to be asked between two steps.

    So what is remembered from step to step is never caught half changed. A second one acts at once. Only the main
    thread can have this, and who ignores a signal goes on ignoring it.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    found = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    previous = {number: action for number, action in found.items() if action not in (None, signal.SIG_IGN)}

    def note(number: int, frame: Any) -> None:
        came.append(number)
        for each, action in previous.items():
            signal.signal(each, action)
        with suppress(OSError):  # print is not for signal handlers
            os.write(2, b"uniref: the frame at hand is finished first; once more ends at once\n")

    for number in previous:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number, action in previous.items():
            signal.signal(number, action)
