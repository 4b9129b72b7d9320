"""What all figures are made of: panels, pictures, masks and heat maps drawn into matplotlib's axes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ..core.optional import require
from ..core.palette import colour_blind_safe

HEAT_COLOURS = "magma"
"""Rises evenly in lightness, so that it reads in grey and with a colour vision deficiency."""

_TEXT_COLOUR = "#222222"
_PANEL_GAP = 0.18
_LETTERS_AN_INCH = 13
TITLE_HEIGHT = 0.34


@dataclass(frozen=True)
class LegendEntry:
    """What a legend says of the object of a number: a text that may be cut, and what stands around it."""

    number: int
    text: str
    head: str = ""
    tail: str = ""


def panels(
    count: int,
    columns: int,
    width: float,
    aspect: float,
    *,
    foot: float = 0.0,
    title_height: float = TITLE_HEIGHT,
) -> tuple[Any, list[Any]]:
    """A figure with a grid of equal panels.

    Args:
        count: panels.
        columns: panels in a row.
        width: of the figure in inches.
        aspect: height by width of a panel.
        foot: inches kept free below.
        title_height: inches kept free above every panel.

    Returns:
        The `Figure` and `count` axes without ticks and frames, row by row.
    """
    figure_module = require("matplotlib.figure", "plot", "plotting")
    rows = -(-count // columns)
    panel = (width - (columns + 1) * _PANEL_GAP) / columns
    cell = panel * aspect + title_height
    height = rows * cell + (rows + 1) * _PANEL_GAP / 2 + foot
    figure = figure_module.Figure(figsize=(width, height), dpi=120, facecolor="white")
    axes = []
    for index in range(count):
        row, column = divmod(index, columns)
        left = _PANEL_GAP + column * (panel + _PANEL_GAP)
        top = _PANEL_GAP / 2 + row * (cell + _PANEL_GAP / 2) + title_height
        place = [left / width, 1 - (top + panel * aspect) / height, panel / width, panel * aspect / height]
        axis = figure.add_axes(place)
        axis.set_axis_off()
        axes.append(axis)
    return figure, axes


def write_title(axis: Any, text: str, letters: int = 40, left: float = 0.0) -> None:
    """A caption above a panel, at most two lines; `left` is where it begins, in widths of the panel."""
    lines = textwrap.wrap(text, letters) or [""]
    if len(lines) > 2:
        lines = [lines[0], textwrap.shorten(" ".join(lines[1:]), letters, placeholder="…")]
    axis.set_title("\n".join(lines), fontsize=9, color=_TEXT_COLOUR, loc="left", pad=3, x=left)


def draw_picture(axis: Any, image: np.ndarray, *, grey: bool = False) -> None:
    """uint8 (H, W, 3), pixel (0, 0) with its corner at the origin; `grey` for a ground under heat maps."""
    height, width = image.shape[:2]
    shown = image
    if grey:
        light = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
        shown = np.repeat((0.25 + 0.6 * light)[..., None], 3, axis=-1)
    axis.imshow(shown, extent=(0, width, height, 0), interpolation="nearest")
    axis.set_xlim(0, width)
    axis.set_ylim(height, 0)


def draw_mask(axis: Any, mask: np.ndarray, colour: Sequence[int], opacity: float) -> None:
    """Tints a bool (H, W) mask and draws its outline, dark under light so that it shows on any ground."""
    if not mask.any():
        return
    height, width = mask.shape
    red, green, blue = (value / 255 for value in colour)
    tint = np.zeros((height, width, 4), dtype=np.float32)
    tint[mask] = (red, green, blue, opacity)
    axis.imshow(tint, extent=(0, width, height, 0), interpolation="nearest")
    draw_outline(axis, mask, "#101010", 2.6)
    draw_outline(axis, mask, (red, green, blue), 1.5)


def draw_number(axis: Any, mask: np.ndarray, text: str) -> None:
    """A text in the middle of the widest part of a mask."""
    effects = require("matplotlib.patheffects", "plot", "plotting")
    if not mask.any():
        return
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    written = axis.text(
        column + 0.5, row + 0.5, text, color="white", fontsize=9, weight="bold", ha="center", va="center"
    )
    written.set_path_effects([effects.withStroke(linewidth=2.2, foreground="#101010")])


def draw_heat(axis: Any, heat: np.ndarray, size: tuple[int, int], lowest: float, highest: float) -> None:
    """A map (h, w) over a picture of `size`: clear where it is `lowest`, bright where it is `highest`."""
    height, width = size
    strength = np.clip((heat - lowest) / max(highest - lowest, 1e-12), 0, 1)
    axis.imshow(
        strength,
        extent=(0, width, height, 0),
        interpolation="bilinear",
        cmap=HEAT_COLOURS,
        vmin=-0.25,
        vmax=1,
        alpha=0.88 * strength**0.7,
    )


def draw_outline(axis: Any, mask: np.ndarray, colour: Any = "white", width: float = 1.2) -> None:
    """The outline of a mask alone, in a colour of matplotlib and a width in points."""
    if mask.any():
        x, y = (np.arange(-1, side + 1) + 0.5 for side in mask.shape[::-1])
        axis.contour(x, y, np.pad(mask, 1).astype(np.float32), levels=[0.5], colors=[colour], linewidths=width)


def add_legend(figure: Any, entries: Sequence[LegendEntry], width: float) -> None:
    """Colours and texts at the foot of a figure that `panels` made with a foot of `legend_height`; width in inches."""
    if not entries:
        return
    patches = require("matplotlib.patches", "plot", "plotting")
    columns = _legend_columns(entries, width)
    handles = []
    for entry in entries:
        room = int(width * _LETTERS_AN_INCH / columns) - 6 - len(entry.head) - len(entry.tail)
        text = textwrap.shorten(entry.text, max(room, 12), placeholder="…")
        colour = [value / 255 for value in colour_blind_safe(entry.number)]
        label = "  ".join(part for part in (entry.head, text, entry.tail) if part)
        handles.append(patches.Patch(facecolor=colour, edgecolor="#101010", label=label))
    anchor = (_PANEL_GAP / width, 0)
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=anchor, ncols=columns, frameon=False, fontsize=9)


def legend_height(entries: Sequence[LegendEntry], width: float) -> float:
    """Inches that `add_legend` needs."""
    return 0.0 if not entries else 0.2 + 0.2 * -(-len(entries) // _legend_columns(entries, width))


def _legend_columns(entries: Sequence[LegendEntry], width: float) -> int:
    longest = max(len(entry.head) + len(entry.text) + len(entry.tail) for entry in entries)
    return max(1, min(len(entries), int(width * _LETTERS_AN_INCH / (longest + 10))))
