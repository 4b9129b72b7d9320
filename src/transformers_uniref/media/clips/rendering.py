"""What came of a clip, to look at: its frames with the masks over them as a video, and a sheet of some of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ...core.atomic import replacing
from ...core.errors import UsageError
from ..legends import legend_strip, tag_objects
from ..overlays import contact_sheet, overlay_labels
from ..pixel_aspect import square_pixels
from .reading import DEFAULT_FRAMES_PER_SECOND
from .writing import clip_writer

_LONGER_SIDE = 320


def render_overlay_clip(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    labels: Iterable[np.ndarray],
    frames_per_second: float = DEFAULT_FRAMES_PER_SECOND,
    *,
    times: Iterable[float] | None = None,
    tags: Mapping[int, str] | None = None,
    pixel_aspect: Fraction | float = 1,
) -> int:
    """Writes a video or GIF of frames with their objects tinted, one frame in memory at a time, whole or not at all.

    ```python
    render_overlay_clip("overlay.webm", frames, label_maps, 25, tags={1: "the dog"})
    ```

    Args:
        path: name of the file; `.mp4`, `.mov`, `.mkv`, `.webm` (these need the extra `video`) or `.gif`.
        frames: uint8 RGB (H, W, 3) of one size; read once.
        labels: for each frame an integer (H, W), 0 = background, values above it are object ids; read once.
        frames_per_second: above 0.
        times: seconds after the first frame at which each is shown, ascending; default: equally far apart.
        tags: text by object id, written beside the object.
        pixel_aspect: width of a pixel by its height (`ClipFrame.pixel_aspect`, `VideoFrames.pixel_aspect`); what is
            written has square pixels.

    Returns:
        The number of frames.

    Raises:
        ValueError: another suffix; no frame; frames and labels of other sizes or numbers.
        MissingExtraError: a video, and PyAV is not installed.
    """
    moments = iter(times) if times is not None else None
    count = 0
    with clip_writer(path, frames_per_second) as writer:
        for frame, objects in _shown(frames, labels, pixel_aspect):
            drawn = overlay_labels(frame, objects)
            writer.write(tag_objects(drawn, objects, tags) if tags else drawn, next(moments) if moments else None)
            count += 1
    return count


def _shown(
    frames: Iterable[np.ndarray], labels: Iterable[np.ndarray], pixel_aspect: Fraction | float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames and their labels with square pixels."""
    for frame, objects in zip(frames, labels, strict=True):
        yield square_pixels(np.asarray(frame), pixel_aspect), square_pixels(np.asarray(objects), pixel_aspect)


class ClipSheet:
    """Collects some evenly spaced frames of a clip of unknown length, as thumbnails, for a contact sheet.

    At most four times as many thumbnails are kept as the sheet will show: when they are more, every second one goes,
    and from then on half as many come. The first and the last frame are always shown.

    Args:
        num_frames: the most frames that the sheet shows, 1 or more.
        cell: (width, height) of a picture in the sheet, in pixels; default: the shape of the first frame, with a longer
            side of 320.

    Raises:
        ValueError: `num_frames` below 1.
    """

    def __init__(self, num_frames: int = 12, cell: tuple[int, int] | None = None) -> None:
        if num_frames < 1:
            raise UsageError(f"`num_frames` must be 1 or more, got {num_frames}.")
        self.num_frames = num_frames
        self.cell = cell
        self.count = 0
        self._step = 1
        self._kept: dict[int, tuple[np.ndarray, str]] = {}
        self._last: tuple[np.ndarray, str] | None = None

    def add(self, image: np.ndarray, caption: str = "") -> None:
        """Takes the next frame, uint8 (H, W, 3), with the text below it."""
        self._last = (image, caption)
        if self.cell is None:
            scale = _LONGER_SIDE / max(image.shape[:2])
            self.cell = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        if self.count % self._step == 0:
            self._kept[self.count] = (self._thumbnail(image), caption)
            if len(self._kept) > 4 * self.num_frames:
                self._step *= 2
                self._kept = {index: kept for index, kept in self._kept.items() if index % self._step == 0}
        self.count += 1

    def render(self, legend: Mapping[int, str] | None = None, columns: int | None = None) -> np.ndarray:
        """Draws the sheet.

        Args:
            legend: text by object id, below the pictures with the objects' colours.
            columns: pictures in a row; default: up to 4.

        Returns:
            uint8 (H, W, 3).

        Raises:
            ValueError: no frame was added.
        """
        if self._last is None or self.cell is None:
            raise UsageError("`frames` must hold at least one frame, got none.")
        shown = {**self._kept, self.count - 1: self._last}
        places = np.array(sorted(shown))
        wanted = np.linspace(0, self.count - 1, min(self.num_frames, self.count))
        chosen = sorted({int(places[np.abs(places - place).argmin()]) for place in wanted})
        sheet = contact_sheet(
            [shown[index][0] for index in chosen],
            [shown[index][1] for index in chosen],
            columns=columns,
            cell=self.cell,
        )
        return np.concatenate([sheet, legend_strip(sheet.shape[1], legend or {})])

    def save(self, path: str | os.PathLike[str], legend: Mapping[int, str] | None = None) -> None:
        """Writes the sheet as a picture of the format that the suffix names; see `render`."""
        with replacing(path) as partial:
            Image.fromarray(self.render(legend)).save(Path(partial))

    def _thumbnail(self, image: np.ndarray) -> np.ndarray:
        picture = Image.fromarray(np.asarray(image))
        assert self.cell is not None
        picture.thumbnail(self.cell, Image.Resampling.LANCZOS)
        return np.asarray(picture)


def clip_contact_sheet(
    frames: Iterable[np.ndarray],
    labels: Iterable[np.ndarray],
    *,
    num_frames: int = 12,
    cell: tuple[int, int] | None = None,
    legend: Mapping[int, str] | None = None,
    pixel_aspect: Fraction | float = 1,
) -> np.ndarray:
    """Draws evenly spaced frames of a clip with their objects tinted, their numbers below, and a legend.

    Args:
        frames: uint8 RGB (H, W, 3); read once, one at a time.
        labels: for each frame an integer (H, W), 0 = background, values above it are object ids.
        num_frames: the most frames that are shown.
        cell: (width, height) of a picture in pixels; default: see `ClipSheet`.
        legend: text by object id.
        pixel_aspect: width of a pixel by its height; what is drawn has square pixels.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: no frame; frames and labels of other sizes or numbers.
    """
    sheet = ClipSheet(num_frames, cell)
    for index, (frame, objects) in enumerate(_shown(frames, labels, pixel_aspect)):
        sheet.add(overlay_labels(frame, objects), f"frame {index}")
    return sheet.render(legend)
