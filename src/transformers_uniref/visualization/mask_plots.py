"""A picture with what was found in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.annotated_object import numbered
from ..core.errors import UsageError
from ..core.palette import colour_blind_safe
from ..core.picture_input import rgb_array
from ..interchange import AnnotatedImage, image_of
from .drawing import (
    TITLE_HEIGHT,
    LegendEntry,
    add_legend,
    draw_mask,
    draw_number,
    draw_picture,
    legend_height,
    panels,
    write_title,
)


def plot_masks(
    image: Any,
    result: Any,
    labels: str | Sequence[str | None] | Mapping[int, str | None] | None = None,
    *,
    opacity: float = 0.5,
    boxes: bool = False,
    title: str = "",
    width: float = 5.0,
) -> Any:
    """Masks over their picture, with a legend of labels and scores.

    Args:
        image: PIL image, path, uint8 array (H, W, 3) or tensor (3, H, W).
        result: what post-processing or a pipeline returned for this picture (see `interchange.image_of`), or an
            `AnnotatedImage`.
        labels: what the objects are called, for instance the sentences that were asked.
        opacity: of the tint, 0 to 1.
        boxes: draw the boxes as well.
        title: above the picture.
        width: of the figure in inches.

    Returns:
        `matplotlib.figure.Figure`.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ValueError: the masks are not of the picture's size.
    """
    picture = rgb_array(image, "image")
    found = result if isinstance(result, AnnotatedImage) else image_of(result, labels, size=picture.shape[:2])
    if tuple(found.size) != picture.shape[:2]:
        raise UsageError(f"`result` must have masks of the picture's size {picture.shape[:2]}, got {found.size}.")
    entries = legend_entries(found)
    room = TITLE_HEIGHT if title else 0.05
    foot = legend_height(entries, width)
    figure, (axis,) = panels(1, 1, width, picture.shape[0] / picture.shape[1], foot=foot, title_height=room)
    draw_objects(axis, picture, found, opacity, boxes)
    if title:
        write_title(axis, title, int(width * 13))
    add_legend(figure, entries, width)
    return figure


def legend_entries(image: AnnotatedImage) -> list[LegendEntry]:
    """Number, label and score of every object; an object without a pixel is said to be missing."""
    entries = []
    several = len(image.objects) > 1
    for number, entry in numbered(image.objects):
        score = "" if entry.score is None else f"  {entry.score:.2f}"
        missing = "" if entry.is_found else "  (no pixel)"
        entries.append(LegendEntry(number, entry.label, str(number) if several else "", f"{score}{missing}".strip()))
    return entries


def draw_objects(axis: Any, picture: np.ndarray, image: AnnotatedImage, opacity: float, boxes: bool = False) -> None:
    """A picture with its objects in one panel."""
    draw_picture(axis, picture)
    for number, entry in numbered(image.objects):
        colour = colour_blind_safe(number)
        draw_mask(axis, entry.mask, colour, opacity)
        if boxes:
            x0, y0, x1, y1 = entry.corners
            axis.plot(
                [x0, x1, x1, x0, x0],
                [y0, y0, y1, y1, y0],
                color=[value / 255 for value in colour],
                linewidth=1.2,
                linestyle="--",
            )
    if len(image.objects) > 1:
        for number, entry in numbered(image.objects):
            draw_number(axis, entry.mask, str(number))
