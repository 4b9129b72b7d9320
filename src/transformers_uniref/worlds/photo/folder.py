"""A folder of photographed sequences with masks, and the objects cut out of them.

The layout is that of DAVIS: `<sequence>/frames/*.jpg` and `<sequence>/masks/*.png`, one mask a frame, of the same
name. A mask shows one object: every pixel that is not 0 belongs to it, except for lines of one or two pixels (the
strings of a kite, say), which smaller pictures could only show as specks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from ...core.errors import UsageError
from ...core.mask_boxes import box_of
from .names import DAVIS_NAMES, Names, Table, parse_names, read_names

NAME_FILES = ("names.json", "names.yaml", "names.yml")
_FRAME_ENDINGS = (".jpg", ".jpeg", ".png")

_LEAST_CUTOUT_PIXELS = 450
"""Smaller objects are too blurred to be shown elsewhere."""

_LEAST_MAIN_PART = 0.6
"""Share of a mask that its largest part has in a usable cut-out; otherwise something stands before the object."""

_LEAST_PART = 0.05
"""Share of a mask below which a part of it is left out of the cut-out."""

_LARGEST_CUT = 0.3
"""Length along the borders of the frame, in square roots of the area, from which an object counts as cut off."""

Value = TypeVar("Value")


class BoundedCache:
    """Keeps the values used last, up to a number of bytes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.held = 0
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value], size_of: Callable[[Value], int]) -> Value:
        """The value of a key, made when it is not held."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key][0]
        value = make()
        size = size_of(value)
        self._values[key] = (value, size)
        self.held += size
        while self.held > self.capacity and len(self._values) > 1:
            self.held -= self._values.popitem(last=False)[1][1]
        return value


@dataclass(frozen=True)
class Sequence:
    """One sequence: its name, its words, the files of its frames and masks, width and height of all of them."""

    name: str
    names: Names
    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    size: tuple[int, int]


@dataclass(frozen=True)
class Photo:
    """A frame: RGB picture and mask (mode L, 0 and 255) of the object."""

    image: Image.Image
    mask: Image.Image


@dataclass(frozen=True)
class CutOut:
    """An object without its surroundings.

    Attributes:
        image: RGBA; colours at the soft edge are those of the inside.
        area: pixels of the object.
    """

    image: Image.Image
    area: int


@dataclass(frozen=True)
class MaskExtent:
    """Where a mask is in its frame: bounding box (x0, y0, x1, y1) or `None` for an empty mask, and its pixels."""

    box: tuple[int, int, int, int] | None
    area: int


class PhotoFolder:
    """Frames, masks and cut-outs of a folder, decoded on demand and kept within bounds.

    Args:
        path: the folder, see the top of this module.
        names: words for each sequence: a table, or the path of a JSON or YAML file (see `photoworld_names`). By default
            `names.json` or `names.yaml` in the folder, and without such a file the bundled table of DAVIS sequences.
        cache_mebibytes: memory for decoded frames and cut-outs.

    Raises:
        FileNotFoundError: when the folder is missing or holds no sequence.
        ValueError: for frames without masks, masks without frames, sizes that differ, or a sequence without names.
    """

    def __init__(self, path: str | Path, names: Table | str | Path | None = None, cache_mebibytes: int = 128) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise FileNotFoundError(f"folder: there is no folder {self.path}")
        if isinstance(cache_mebibytes, bool) or not isinstance(cache_mebibytes, int) or cache_mebibytes < 1:
            raise UsageError(f"cache_mebibytes must be a positive integer, got {cache_mebibytes!r}")
        self.cache_mebibytes = cache_mebibytes
        table = self._table(names)
        self.sequences = {one.name: one for one in map(lambda p: _read_sequence(p, table), self._sequence_folders())}
        self._forget()

    def _forget(self) -> None:
        self._cache = BoundedCache(self.cache_mebibytes * 2**20)
        self._mask_extents: dict[str, list[MaskExtent]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Processes that share the work start with empty caches.
        return {key: value for key, value in vars(self).items() if key not in ("_cache", "_mask_extents")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _table(self, names: Table | str | Path | None) -> dict[str, Names]:
        if isinstance(names, str | Path):
            return read_names(names)
        if names is not None:
            return parse_names(names)
        for file in NAME_FILES:
            if (self.path / file).is_file():
                return read_names(self.path / file)
        return DAVIS_NAMES

    def _sequence_folders(self) -> list[Path]:
        folders = sorted(path for path in self.path.iterdir() if path.is_dir() and (path / "frames").is_dir())
        if not folders:
            raise FileNotFoundError(
                f"folder: {self.path} holds no sequence; expected <sequence>/frames/*.jpg and <sequence>/masks/*.png"
            )
        return folders

    def photo(self, sequence: str, time: int) -> Photo:
        """A frame and its mask."""
        entry = self.sequences[sequence]

        def make() -> Photo:
            with Image.open(entry.frames[time]) as file:
                image = file.convert("RGB")
            return Photo(image, _read_mask(entry.masks[time]))

        # Pillow keeps RGB in four bytes.
        return self._cache.get(
            ("photo", sequence, time), make, lambda photo: 5 * photo.image.width * photo.image.height
        )

    def mask_extents(self, sequence: str) -> list[MaskExtent]:
        """Where the object is in every frame of a sequence; read once."""
        if sequence not in self._mask_extents:
            found = []
            for path in self.sequences[sequence].masks:
                mask = _read_mask(path)
                found.append(MaskExtent(mask.getbbox(), mask.histogram()[255]))
            self._mask_extents[sequence] = found
        return self._mask_extents[sequence]

    def cutout(self, sequence: str, time: int) -> CutOut | None:
        """The object of a frame, `None` where it is small, cut off by the frame's border or hidden in good part."""
        where = self.mask_extents(sequence)[time]
        box = where.box
        if box is None or where.area < _LEAST_CUTOUT_PIXELS:
            return None

        return self._cache.get(
            ("cut-out", sequence, time),
            lambda: cut_out(self.photo(sequence, time), box),
            lambda value: 64 if value is None else 4 * value.image.width * value.image.height,
        )


def _read_mask(path: Path) -> Image.Image:
    with Image.open(path) as file:
        # Palette masks hold ids, whose colours say nothing.
        plain = file if file.mode in ("1", "L", "P") else file.convert("L")
        array = np.asarray(plain) != 0
    return Image.fromarray(_without_strings(array).view(np.uint8) * np.uint8(255))


def _without_strings(mask: np.ndarray) -> np.ndarray:
    """The mask without lines of one or two pixels; the detail within two pixels of the body stays."""
    box = Image.fromarray(mask).getbbox()
    if box is None:
        return mask
    square = np.ones((3, 3), bool)
    inside = np.pad(mask[box[1] : box[3], box[0] : box[2]], 3, mode="edge")
    body = ndimage.binary_opening(inside, square)
    if not body.any():
        return mask
    body = ndimage.binary_dilation(body, np.ones((5, 5), bool)) & inside
    result = np.zeros_like(mask)
    result[box[1] : box[3], box[0] : box[2]] = body[3:-3, 3:-3]
    return result


def _read_sequence(path: Path, table: dict[str, Names]) -> Sequence:
    frames = {file.stem: file for file in sorted((path / "frames").iterdir()) if file.suffix.lower() in _FRAME_ENDINGS}
    masks = {file.stem: file for file in sorted((path / "masks").glob("*.png"))}
    if not frames:
        raise UsageError(f"{path / 'frames'} holds no picture; accepted endings: {', '.join(_FRAME_ENDINGS)}")
    for kind, missing, of in (
        ("mask", frames.keys() - masks.keys(), "frame"),
        ("frame", masks.keys() - frames.keys(), "mask"),
    ):
        if missing:
            raise UsageError(f"{path}: no {kind} for {of} {min(missing)!r} ({len(missing)} missing)")
    if path.name not in table:
        raise UsageError(
            f"names: no entry for the sequence {path.name!r} of {path.parent}; known: {', '.join(sorted(table))}"
        )
    first: tuple[int, int] | None = None
    for file in [one for stem in frames for one in (frames[stem], masks[stem])]:
        with Image.open(file) as image:
            size = image.size
        first = first or size
        if size != first:
            raise UsageError(
                f"{file} is {size[0]}x{size[1]} pixels, the first frame of its sequence {first[0]}x{first[1]}: "
                "all frames and masks of a sequence must have one size"
            )
    assert first is not None
    return Sequence(path.name, table[path.name], tuple(frames.values()), tuple(masks[stem] for stem in frames), first)


def cut_out(photo: Photo, box: tuple[int, int, int, int]) -> CutOut | None:
    """Cuts the object of a photo out, `None` where it is cut off or hidden in good part.

    Crumbs are left out; the soft edge is one pixel wide and lies within the mask.

    Args:
        box: bounding box of the mask.
    """
    width, height = photo.image.size
    mask = np.pad(np.asarray(photo.mask.crop(box)) != 0, 3)
    labels, _ = ndimage.label(mask, np.ones((3, 3), bool))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    area = int(sizes.sum())
    if area < _LEAST_CUTOUT_PIXELS or sizes.max() < _LEAST_MAIN_PART * area:
        return None
    kept = (sizes >= _LEAST_PART * area)[labels]
    inside = kept[3:-3, 3:-3]
    at_border = 0
    for touches, edge in (
        (box[0] == 0, inside[:, 0]),
        (box[1] == 0, inside[0]),
        (box[2] == width, inside[:, -1]),
        (box[3] == height, inside[-1]),
    ):
        at_border += int(np.count_nonzero(edge)) if touches else 0
    if at_border > _LARGEST_CUT * area**0.5:
        return None

    # Crumbs made the box larger than what is left.
    x0, y0, x1, y1 = box_of(kept)
    y0, y1, x0, x1 = y0 - 1, y1 + 1, x0 - 1, x1 + 1
    kept = kept[y0:y1, x0:x1]
    left, top = box[0] - 3 + x0, box[1] - 3 + y0
    crop = photo.image.crop((left, top, left + kept.shape[1], top + kept.shape[0]))
    solid = Image.fromarray(kept.view(np.uint8) * np.uint8(255))
    blurred = np.asarray(solid.filter(ImageFilter.GaussianBlur(0.6)), np.float32) * (1 / 255)
    alpha = np.clip((blurred - 0.35) * (1 / 0.6), 0, 1)
    picture = np.concatenate([_clean_edge(crop, kept), (alpha * 255)[..., None]], axis=2)
    return CutOut(Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8)), int(np.count_nonzero(kept)))


def _clean_edge(crop: Image.Image, kept: np.ndarray) -> np.ndarray:
    """Pixels at the edge are mixed with the surroundings: they take the mean colour of the pixels further inside.

    Args:
        crop: RGB picture (w, h).
        kept: bool (h, w), the object.

    Returns:
        float32 (h, w, 3), 0 to 255.
    """
    rgb = np.asarray(crop, np.float32)
    inner = np.zeros(kept.shape, np.float32)
    core = kept[1:-1, 1:-1] & kept[:-2, 1:-1] & kept[2:, 1:-1] & kept[1:-1, :-2] & kept[1:-1, 2:]
    inner[1:-1, 1:-1] = core
    weight = ndimage.uniform_filter(inner, 5)
    edge = np.nonzero(kept & (inner == 0) & (weight > 0.03))
    if not len(edge[0]):
        return rgb
    rgb = rgb.copy()
    for channel in range(3):
        mean = ndimage.uniform_filter(rgb[..., channel] * inner, 5)[edge] / weight[edge]
        rgb[..., channel][edge] = 0.7 * mean + 0.3 * rgb[..., channel][edge]
    return rgb
