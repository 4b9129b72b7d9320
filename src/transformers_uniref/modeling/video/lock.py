"""A session is gone through by one iterator at a time: two would mix up its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...core.errors import FailureError


class IteratorLock:
    """Belongs to one iterator to its end, or until it is released. A copy of it is free."""

    def __init__(self) -> None:
        self._holder: object | None = None

    def __reduce__(self) -> tuple[type[IteratorLock], tuple[()]]:
        return IteratorLock, ()

    def check_free(self) -> None:
        """Raises RuntimeError while an iterator is in the middle of the session."""
        if self._holder is not None:
            raise FailureError(
                "`inference_session` is being gone through by another iterator: go to its end, close it "
                "(`iterator.close()`) or give it up (`session.release()`); two clips or directions need two sessions."
            )

    @contextmanager
    def held(self) -> Iterator[Callable[[], None]]:
        """Gives a function that raises RuntimeError once the lock was released."""
        self.check_free()
        mine = self._holder = object()

        def check() -> None:
            if self._holder is not mine:
                raise FailureError("this iterator was ended by `release` or `reset` of its session; make another one.")

        try:
            yield check
        finally:
            if self._holder is mine:
                self._holder = None

    def release(self) -> None:
        """End the hold of whoever has it; its `check` raises from then on."""
        self._holder = None
