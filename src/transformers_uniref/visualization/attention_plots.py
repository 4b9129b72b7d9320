"""What the model looked at, drawn."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from ..core.palette import colour_blind_safe
from .attended import AttentionMaps
from .drawing import draw_heat, draw_mask, draw_outline, draw_picture, panels, write_title

_MOST_COLUMNS = 4
_BAR_COLOURS = (colour_blind_safe(6), (150, 150, 150))


def plot_attention(
    maps: AttentionMaps,
    *,
    columns: int | None = None,
    special_tokens: bool = False,
    shared_scale: bool = False,
    width: float = 9.0,
) -> Any:
    """The attention over words and over the annotated examples.

    First the picture with what was found, then for a sentence how much attention the object and the rest of the picture
    pay to each word, and for each word where in the picture, with the least and the most that a place pays. For
    examples where the found object looks, with the share that lies on the mask, and the mask's share of the picture.

    Args:
        maps: from `attention_maps`.
        columns: panels in a row; default: up to 4, so that the rows are about equally long.
        special_tokens: show [CLS], [SEP] or their equals as well, which often take much of the attention.
        shared_scale: the maps of all words from 0 to the greatest of them; by default each from its least to its most.
        width: of the figure in inches.

    Returns:
        `matplotlib.figure.Figure`. Maps of examples share a scale that begins at 0.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    chosen = [
        place for place, word in enumerate(maps.words) if special_tokens or not (word[:1] == "[" and word[-1:] == "]")
    ]
    count = 1 + bool(chosen) + len(chosen) + len(maps.examples)
    if columns is None:
        rows_needed = -(-count // _MOST_COLUMNS)
        columns = -(-count // rows_needed)
    columns = max(1, min(columns, count))
    height, across = maps.image.shape[:2]
    figure, axes = panels(count, columns, width, height / across)
    letters = int(width / columns * 12)
    waiting = iter(axes)

    axis = next(waiting)
    draw_picture(axis, maps.image)
    draw_mask(axis, maps.segmentation, colour_blind_safe(6), 0.45)
    write_title(axis, f"{maps.text or 'found'}  {maps.score:.2f}", letters)
    if chosen:
        _draw_bars(next(waiting), maps, chosen)
        highest = float(maps.word_maps[chosen].max())
        for place in chosen:
            axis = next(waiting)
            draw_picture(axis, maps.image, grey=True)
            heat = maps.word_maps[place]
            low, high = (0.0, highest) if shared_scale else (float(heat.min()), float(heat.max()))
            draw_heat(axis, heat, (height, across), low, high)
            draw_outline(axis, maps.segmentation)
            write_title(axis, f"{maps.words[place]}  {heat.min():.0%} to {heat.max():.0%}", letters)
    highest = max((float(heat.max()) for heat in maps.example_maps), default=0.0)
    rows = zip(maps.examples, maps.example_masks, maps.example_maps, maps.example_shares(), strict=True)
    for number, (example, mask, heat, share) in enumerate(rows, start=1):
        axis = next(waiting)
        draw_picture(axis, example, grey=True)
        draw_heat(axis, heat, example.shape[:2], 0.0, highest)
        draw_outline(axis, mask)
        which = f" {number}" if len(maps.examples) > 1 else ""
        write_title(axis, f"example{which}: {share:.0%} on the mask (area {mask.mean():.0%})", letters)
    return figure


def _draw_bars(axis: Any, maps: AttentionMaps, chosen: list[int]) -> None:
    """Attention to each word from within the object and from the rest of the picture."""
    axis.set_axis_on()
    inside = maps.word_shares(maps.segmentation)[chosen]
    outside = maps.word_shares(~maps.segmentation)[chosen]
    places = np.arange(len(chosen))
    for offset, values, colour, name in (
        (-0.2, inside, _BAR_COLOURS[0], "object"),
        (0.2, outside, _BAR_COLOURS[1], "rest"),
    ):
        axis.barh(places + offset, values, height=0.38, color=[value / 255 for value in colour], label=name)
    axis.set_yticks(places, [textwrap.shorten(maps.words[place], 14, placeholder="…") for place in chosen], fontsize=8)
    axis.invert_yaxis()
    axis.tick_params(axis="x", labelsize=7)
    axis.tick_params(length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    # The words stand inside the panel's own width, the legend inside its height.
    box = axis.get_position()
    axis.set_position([box.x0 + 0.3 * box.width, box.y0 + 0.2 * box.height, 0.68 * box.width, 0.8 * box.height])
    axis.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.09), ncols=2, borderaxespad=0.2)
    write_title(axis, "attention to each word", left=-0.3 / 0.68)
