"""Data: the procedural worlds and their datasets. Nothing here imports torch; the worlds are imported when used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .photoworld import PhotoFolder, PhotoWorld, photo_vocabulary
    from .world import World, vocabulary

__all__ = ["PhotoFolder", "PhotoWorld", "World", "photo_vocabulary", "vocabulary"]

_MODULE_OF = {
    "PhotoFolder": ".photoworld",
    "PhotoWorld": ".photoworld",
    "World": ".world",
    "photo_vocabulary": ".photoworld",
    "vocabulary": ".world",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
