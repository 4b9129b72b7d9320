"""How a command ends when somebody else ends it: a signal, or a reader of its output that went away."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
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
