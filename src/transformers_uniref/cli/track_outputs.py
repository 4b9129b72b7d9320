"""What `uniref track` writes: one class for each kind of output, all fed frame by frame."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from fractions import Fraction

    import numpy as np

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


class PaletteMasks:
    """A label map for each frame, PNG with the DAVIS palette."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, frame: FrameResult) -> None:
        from ..media.palette import save_label_map

        save_label_map(self.folder / f"{frame.name}.png", frame.labels)


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
    """A PNG for each frame."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def write(self, frame: FrameResult) -> None:
        from PIL import Image

        Image.fromarray(frame.overlay).save(self.folder / f"{frame.name}.png")


class OverlayClip:
    """A video or GIF, with the times of the clip."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def write(self, frame: FrameResult) -> None:
        self.writer.write(frame.overlay, frame.time)


class SheetPicture:
    """Thumbnails of some frames."""

    def __init__(self, sheet: Any) -> None:
        self.sheet = sheet

    def write(self, frame: FrameResult) -> None:
        self.sheet.add(frame.overlay, f"frame {frame.number}, {frame.moment:.2f} s")


class Outputs:
    """The outputs of one clip. Used as a context: what is written frame by frame is whole at its end.

    Args:
        formats: some of `FORMATS`.
        folder: to write into.
        clip: what the clip is called.
        frames_per_second: of the frames that are followed.
        texts: the objects' sentences by their numbers, None where there is none.
        legend: the objects' names by their numbers.
        tags: whether the names are written into the overlays.
        sheet_frames: how many frames the contact sheet shows.
    """

    def __init__(
        self,
        formats: tuple[str, ...],
        folder: Path,
        clip: str,
        frames_per_second: float,
        texts: dict[int, str | None],
        legend: dict[int, str],
        tags: bool,
        sheet_frames: int,
    ) -> None:
        self.formats = formats
        self.folder = folder
        self.clip = clip
        self.frames_per_second = frames_per_second
        self.texts = texts
        self.legend = legend
        self.tags = tags
        self.sheet_frames = sheet_frames
        self._draws = bool({"overlay", "mp4", "webm", "gif", "sheet"} & set(formats))
        self._outputs: list[Output] = []
        self._sheet: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Outputs:
        with ExitStack() as opening:
            self._outputs = [self._open(name, self.folder / FORMATS[name], opening) for name in self.formats]
            self._stack = opening.pop_all()
        return self

    def _open(self, name: str, path: Path, stack: ExitStack) -> Output:
        from ..media.clip_rendering import ClipSheet
        from ..media.clip_rle import ClipRleWriter
        from ..media.clip_writing import clip_writer

        if name == "palette":
            return PaletteMasks(path)
        if name == "binary":
            return BinaryMasks(path)
        if name == "overlay":
            return OverlayPictures(path)
        if name == "rle":
            return RleFile(stack.enter_context(ClipRleWriter(path, self.clip, self.texts)))
        if name == "sheet":
            self._sheet = ClipSheet(self.sheet_frames)
            return SheetPicture(self._sheet)
        return OverlayClip(stack.enter_context(clip_writer(path, self.frames_per_second)))

    def overlay(self, image: np.ndarray, labels: np.ndarray, pixel_aspect: Fraction) -> np.ndarray:
        """The frame with the objects tinted, if any output shows it, in the proportions with which it is shown."""
        from ..media.legends import tag_objects
        from ..media.overlays import overlay_labels
        from ..media.pixel_aspect import square_pixels

        if not self._draws:
            return image
        image, labels = square_pixels(image, pixel_aspect), square_pixels(labels, pixel_aspect)
        drawn = overlay_labels(image, labels)
        return tag_objects(drawn, labels, self.legend) if self.tags else drawn

    def write(self, frame: FrameResult) -> None:
        """Hands a frame to all outputs."""
        for output in self._outputs:
            output.write(frame)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self._stack.__exit__(kind, error, traceback)
        if kind is None and self._sheet is not None:
            self._sheet.save(self.folder / FORMATS["sheet"], self.legend)
