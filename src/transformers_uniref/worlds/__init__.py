"""The generated domains: drawn scenes, cut-outs on other frames, photographs. No world is imported until it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .drawn.world import World, vocabulary
    from .photo.world import PhotoFolder, PhotoWorld, photo_vocabulary

__all__ = ["PhotoFolder", "PhotoWorld", "World", "photo_vocabulary", "vocabulary"]

_MODULE_OF = {
    "PhotoFolder": ".photo.world",
    "PhotoWorld": ".photo.world",
    "World": ".drawn.world",
    "photo_vocabulary": ".photo.world",
    "vocabulary": ".drawn.world",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
