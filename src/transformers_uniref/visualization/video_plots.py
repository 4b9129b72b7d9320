"""A clip as a contact sheet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..interchange import AnnotatedClip, clip_of
from ..media.video.frames import VideoFrames
from .drawing import LegendEntry, add_legend, legend_height, panels, write_title
from .mask_plots import draw_objects


def plot_video(
    video: Any,
    results: AnnotatedClip | Iterable[Any],
    labels: str | Sequence[str | None] | Mapping[int, str | None] | None = None,
    *,
    frames: int | Sequence[int] = 8,
    columns: int = 4,
    opacity: float = 0.5,
    width: float = 9.0,
) -> Any:
    """Frames of a clip with the objects that were followed.

    Args:
        video: a list of frames, an array (T, H, W, 3), a folder of pictures or a clip's file (needs PyAV).
        results: for each frame, from the first on, what `post_process_video_masks` or a video pipeline returned; or an
            `AnnotatedClip`.
        labels: what the objects are called: {object id: text}, or a list by ascending id.
        frames: how many to show, spread evenly from the first to the last that has a result; or which, from 0.
        columns: frames in a row.
        opacity: of the tint, 0 to 1.
        width: of the figure in inches.

    Returns:
        `matplotlib.figure.Figure`. An object has the colour and the number of its id throughout.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ValueError: masks of another size than the frames, more results than frames, or a frame without a result.
    """
    pictures = VideoFrames(video)
    clip = results if isinstance(results, AnnotatedClip) else clip_of(results, labels, size=pictures.size)
    if tuple(clip.size) != tuple(pictures.size):
        raise UsageError(f"`results` must have masks of the video's size {pictures.size}, got {clip.size}.")
    if len(clip.frames) > len(pictures):
        raise UsageError(f"`results` must be for the {len(pictures)} frames of `video`, got {len(clip.frames)}.")
    chosen = _chosen(frames, len(clip.frames))
    columns = max(1, min(columns, len(chosen)))
    named = list(clip.labels().items())
    entries = [LegendEntry(number, label, str(number) if len(named) > 1 else "") for number, label in sorted(named)]
    figure, axes = panels(
        len(chosen),
        columns,
        width,
        pictures.size[0] / pictures.size[1] / float(pictures.pixel_aspect),
        foot=legend_height(entries, width),
    )
    for axis, index in zip(axes, chosen, strict=True):
        draw_objects(axis, pictures[index], clip.frames[index], opacity)
        axis.set_aspect(1 / float(pictures.pixel_aspect))
        write_title(axis, f"frame {index}")
    add_legend(figure, entries, width)
    return figure


def _chosen(frames: int | Sequence[int], count: int) -> list[int]:
    if isinstance(frames, int):
        if frames < 1:
            raise UsageError(f"`frames` must be 1 or more, got {frames}.")
        return sorted({int(index) for index in np.linspace(0, count - 1, min(frames, count)).round()})
    chosen = [int(index) for index in frames]
    if not chosen or min(chosen) < 0 or max(chosen) >= count:
        raise UsageError(f"`frames` must be of 0 to {count - 1}, which have results, got {chosen}.")
    return chosen
