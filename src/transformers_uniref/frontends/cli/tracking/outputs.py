"""What `uniref track` writes besides label maps, all fed frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from ....inference.clips import Objects
    from ....media.video.io import ClipFrame

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
DRAWN = {"overlay", "mp4", "webm", "gif", "sheet"}


@dataclass(frozen=True)
class TrackedFrame:
    """One frame and what was found in it.

    Attributes:
        name: for files that are derived from it.
        frame: of the clip.
        time: seconds after the first frame that is followed.
        objects: what was found.
        labels: uint8 (H, W), 0 = background.
        overlay: uint8 (H, W, 3), the frame with the objects tinted, and with square pixels; the frame itself where no
            output needs it.
    """

    name: str
    frame: ClipFrame
    time: float
    objects: Objects
    labels: np.ndarray
    overlay: np.ndarray


def write_binary_masks(folder: Path, frame: TrackedFrame) -> None:
    """A PNG of one bit a pixel for each object, in a folder for each object."""
    from PIL import Image

    for number, item in frame.objects.items():
        (folder / str(number)).mkdir(exist_ok=True)
        Image.fromarray(item.mask).save(folder / str(number) / f"{frame.name}.png")


@dataclass(frozen=True)
class Drawing:
    """How the objects are drawn: the options of `uniref track` of these names."""

    tags: bool = False
    legend: bool = True
    sheet_frames: int = 12
    gif_side: int = DEFAULT_LONGEST_SIDE
    gif_colours: int | None = None


@dataclass
class Outputs:
    """The outputs of one clip but its label maps, which `Progress` keeps.

    Used as a context: what is written frame by frame is whole at its end. Formats are some of `FORMATS`; `texts` are
    the objects' sentences by their numbers, None where there is none, `legend` their names.
    """

    formats: tuple[str, ...]
    folder: Path
    clip: str
    frames_per_second: float
    texts: dict[int, str | None]
    legend: dict[int, str]
    drawing: Drawing

    def __post_init__(self) -> None:
        self._writers: list[Callable[[TrackedFrame], None]] = []
        self._sheet: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Outputs:
        with ExitStack() as opening:
            names = [name for name in self.formats if name != "palette"]
            self._writers = [self._open(name, self.folder / FORMATS[name], opening) for name in names]
            self._stack = opening.pop_all()
        return self

    def _open(self, name: str, path: Path, stack: ExitStack) -> Callable[[TrackedFrame], None]:
        """What writes a frame into one of the outputs."""
        from PIL import Image

        from ....media.clips.rendering import ClipSheet
        from ....media.clips.rle import ClipRleWriter
        from ....media.clips.writing import VideoWriter
        from ....media.gif_writing import GifWriter, shrunk
        from ....media.legends import with_legend

        below, side = self.legend if self.drawing.legend else {}, self.drawing.gif_side
        if name == "binary":
            path.mkdir()
            return partial(write_binary_masks, path)
        if name == "overlay":
            path.mkdir()
            return lambda frame: Image.fromarray(with_legend(frame.overlay, below)).save(path / f"{frame.name}.png")
        if name == "rle":
            codes = stack.enter_context(ClipRleWriter(path, self.clip, self.texts))
            return lambda frame: codes.write(
                frame.name,
                {number: item.mask for number, item in frame.objects.items()},
                {number: item.score for number, item in frame.objects.items()},
            )
        if name == "sheet":
            self._sheet = sheet = ClipSheet(self.drawing.sheet_frames)
            return lambda each: sheet.add(each.overlay, f"frame {each.frame.index}, {each.frame.time:.2f} s")
        if name == "gif":
            gif = stack.enter_context(
                GifWriter(path, self.frames_per_second, longest_side=None, colours=self.drawing.gif_colours)
            )
            # The legend is drawn when the picture has its final size, so that its letters stay readable.
            return lambda frame: gif.write(with_legend(shrunk(frame.overlay, side), below), frame.time)
        # A video keeps the proportions of the clip.
        video = stack.enter_context(VideoWriter(path, self.frames_per_second))
        return lambda frame: video.write(with_legend(frame.overlay, below, keep_proportions=True), frame.time)

    def introduce(self, number: int, text: str | None) -> None:
        """Names an object that has appeared."""
        self.texts[number] = text
        self.legend[number] = f"{number}: {text}" if text else f"object {number}"

    def overlay(self, frame: ClipFrame, labels: np.ndarray) -> np.ndarray:
        """The frame with the objects tinted, if any output shows it, in the proportions with which it is shown."""
        import numpy as np

        from ....media.legends import tag_objects
        from ....media.overlays import overlay_labels
        from ....media.pixel_aspect import square_pixels

        if not DRAWN & set(self.formats):
            return frame.image
        image, labels = square_pixels(frame.image, frame.pixel_aspect), square_pixels(labels, frame.pixel_aspect)
        drawn = overlay_labels(image, labels)
        # A legend that grew would change the size of a clip's frames: objects that appear have tags alone.
        appeared = {int(number): f"object {number}" for number in np.unique(labels) if number}
        return tag_objects(drawn, labels, appeared | self.legend) if self.drawing.tags else drawn

    def write(self, frame: TrackedFrame) -> None:
        """Hands a frame to all outputs."""
        for write in self._writers:
            write(frame)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self._stack.__exit__(kind, error, traceback)
        if kind is None and self._sheet is not None:
            self._sheet.save(self.folder / FORMATS["sheet"], self.legend)
