"""What stands between a user's pictures, masks and sentences and the model's tensors, in both directions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "UniRefImageProcessorPil": "image_processing_uniref",
    "UniRefProcessor": "processing_uniref",
}

__all__ = ["UniRefImageProcessor", "UniRefImageProcessorPil", "UniRefProcessor"]


def __getattr__(name: str) -> Any:
    if name == "UniRefImageProcessor":
        # Like Transformers itself: the torchvision backend carries the plain name, PIL stands in where it is absent.
        from transformers.utils import is_torchvision_available

        if is_torchvision_available():
            return importlib.import_module(".image_processing_uniref_torchvision", __name__).UniRefImageProcessor
        name = "UniRefImageProcessorPil"
    if name in _HOME:
        return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from .image_processing_uniref import UniRefImageProcessorPil
    from .image_processing_uniref import UniRefImageProcessorPil as UniRefImageProcessor
    from .processing_uniref import UniRefProcessor
