"""Figures of results and of what the model attends to. Needs matplotlib: the extra `plot`.

Every function returns a `matplotlib.figure.Figure` of its own and changes no state of matplotlib: nothing is shown, no
style is set. `figure.savefig("file.png")` writes it; a notebook shows it as the result of a cell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .attended import AttentionMaps, attention_maps
    from .attention_plots import plot_attention
    from .mask_plots import plot_masks
    from .video_plots import plot_video

_MODULE_OF = {
    "AttentionMaps": "attended",
    "attention_maps": "attended",
    "plot_attention": "attention_plots",
    "plot_masks": "mask_plots",
    "plot_video": "video_plots",
}

__all__ = ["AttentionMaps", "attention_maps", "plot_attention", "plot_masks", "plot_video"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
