"""What `uniref track` writes: one class for each kind of output but label maps, all fed frame by frame."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np

DEFAULT_LONGEST_SIDE, MOST_COLOURS = 480, 256
"""Of a GIF; as `media.gif_writing` has them, which would import too much here."""

FORMATS = {
    "palette": "masks",
    "binary": "binary",
    "rle": "rle.json",
    "overlay": "overlays",
    "mp4": "overlay.mp4",
    "webm": "overlay.webm",
    "gif": "overlay.gif",
    "sheet": "contact_sheet.png",
}
"""What each format is called in the folder of results."""

DEFAULT_FORMATS = ("palette", "mp4")
WITH_PYAV = ("mp4", "webm")


@dataclass(frozen=True)
class FrameResult:
    """One frame and what was found in it.

    Attributes:
        name: for files that are derived from it.
        number: in the clip, from 0.
        moment: seconds after the clip's first frame.
        time: seconds after the first frame that is followed.
        image: uint8 (H, W, 3).
        overlay: the same with the objects tinted, and with square pixels; the image itself where no output needs it.
        labels: uint8 (H, W), 0 = background.
        masks: bool (H, W) by the number of the object.
        scores: 0..1 for the same objects.
    """

    name: str
    number: int
    moment: float
    time: float
    image: np.ndarray
    overlay: np.ndarray
    labels: np.ndarray
    masks: dict[int, np.ndarray]
    scores: dict[int, float]


class Output(Protocol):
    """Takes frame after frame."""

    def write(self, frame: FrameResult) -> None: ...


class BinaryMasks:
    """A PNG of one bit a pixel for each frame and object, in a folder for each object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, frame: FrameResult) -> None:
        from PIL import Image

        for number, mask in frame.masks.items():
            (self.folder / str(number)).mkdir(exist_ok=True)
            Image.fromarray(mask).save(self.folder / str(number) / f"{frame.name}.png")


class RleFile:
    """All masks in one JSON file."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def write(self, frame: FrameResult) -> None:
        self.writer.write(frame.name, frame.masks, frame.scores)


class OverlayPictures:
    """A PNG for each frame, with the legend below."""

    def __init__(self, folder: Path, legend: dict[int, str]) -> None:
        self.folder = folder
        self.legend = legend
        folder.mkdir()

    def write(self, frame: FrameResult) -> None:
        from PIL import Image

        from ....media.legends import with_legend

        Image.fromarray(with_legend(frame.overlay, self.legend)).save(self.folder / f"{frame.name}.png")


class OverlayClip:
    """A video or GIF with the legend below, and with the times of the clip.

    The legend is drawn when the picture has its final size, so that its letters stay readable in a small GIF. A video
    keeps the proportions of the clip.
    """

    def __init__(self, writer: Any, legend: dict[int, str], longest_side: int | None = None) -> None:
        self.writer = writer
        self.legend = legend
        self.longest_side = longest_side

    def write(self, frame: FrameResult) -> None:
        from ....media.gif_writing import shrunk
        from ....media.legends import with_legend

        fitted = frame.overlay if self.longest_side is None else shrunk(frame.overlay, self.longest_side)
        framed = with_legend(fitted, self.legend, keep_proportions=self.longest_side is None)
        self.writer.write(framed, frame.time)


@dataclass(frozen=True)
class Drawing:
    """How the objects are drawn.

    Attributes:
        tags: whether the names are written into the overlays, beside the objects.
        legend: whether a legend lies below the overlays.
        sheet_frames: how many frames the contact sheet shows.
        gif_side: longer side of the GIF in pixels, at most.
        gif_colours: most colours of a frame of the GIF; None: as many as keep it small.
    """

    tags: bool = False
    legend: bool = True
    sheet_frames: int = 12
    gif_side: int = DEFAULT_LONGEST_SIDE
    gif_colours: int | None = None


class SheetPicture:
    """Thumbnails of some frames."""

    def __init__(self, sheet: Any) -> None:
        self.sheet = sheet

    def write(self, frame: FrameResult) -> None:
        self.sheet.add(frame.overlay, f"frame {frame.number}, {frame.moment:.2f} s")


class Outputs:
    """The outputs of one clip but its label maps, which `Progress` keeps.

    Used as a context: what is written frame by frame is whole at its end.

    Args:
        formats: some of `FORMATS`.
        folder: to write into.
        clip: what the clip is called.
        frames_per_second: of the frames that are followed.
        texts: the objects' sentences by their numbers, None where there is none.
        legend: the objects' names by their numbers.
        drawing: how they are drawn.
    """

    def __init__(
        self,
        formats: tuple[str, ...],
        folder: Path,
        clip: str,
        frames_per_second: float,
        texts: dict[int, str | None],
        legend: dict[int, str],
        drawing: Drawing,
    ) -> None:
        self.formats = formats
        self.folder = folder
        self.clip = clip
        self.frames_per_second = frames_per_second
        self.texts = texts
        self.legend = legend
        self.drawing = drawing
        self._draws = bool({"overlay", "mp4", "webm", "gif", "sheet"} & set(formats))
        self._outputs: list[Output] = []
        self._sheet: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Outputs:
        with ExitStack() as opening:
            names = [name for name in self.formats if name != "palette"]
            self._outputs = [self._open(name, self.folder / FORMATS[name], opening) for name in names]
            self._stack = opening.pop_all()
        return self

    def _open(self, name: str, path: Path, stack: ExitStack) -> Output:
        from ....media.clips.rendering import ClipSheet
        from ....media.clips.rle import ClipRleWriter
        from ....media.clips.writing import VideoWriter
        from ....media.gif_writing import GifWriter

        below = self.legend if self.drawing.legend else {}
        if name == "binary":
            return BinaryMasks(path)
        if name == "overlay":
            return OverlayPictures(path, below)
        if name == "rle":
            return RleFile(stack.enter_context(ClipRleWriter(path, self.clip, self.texts)))
        if name == "sheet":
            self._sheet = ClipSheet(self.drawing.sheet_frames)
            return SheetPicture(self._sheet)
        if name == "gif":
            colours = self.drawing.gif_colours
            gif = GifWriter(path, self.frames_per_second, longest_side=None, colours=colours)
            return OverlayClip(stack.enter_context(gif), below, self.drawing.gif_side)
        return OverlayClip(stack.enter_context(VideoWriter(path, self.frames_per_second)), below)

    def overlay(self, image: np.ndarray, labels: np.ndarray, pixel_aspect: Fraction) -> np.ndarray:
        """The frame with the objects tinted, if any output shows it, in the proportions with which it is shown."""
        from ....media.legends import tag_objects
        from ....media.overlays import overlay_labels
        from ....media.pixel_aspect import square_pixels

        if not self._draws:
            return image
        image, labels = square_pixels(image, pixel_aspect), square_pixels(labels, pixel_aspect)
        drawn = overlay_labels(image, labels)
        return tag_objects(drawn, labels, self.legend) if self.drawing.tags else drawn

    def write(self, frame: FrameResult) -> None:
        """Hands a frame to all outputs."""
        for output in self._outputs:
            output.write(frame)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self._stack.__exit__(kind, error, traceback)
        if kind is None and self._sheet is not None:
            self._sheet.save(self.folder / FORMATS["sheet"], self.legend)
