"""Clips in the simplest layout, `<sequence>/frames/*.jpg` and `<sequence>/masks/*.png`, as rows of the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.errors import UsageError
from ..core.mask_reading import read_mask
from ..datasets.schema import Row, make_instance, make_row
from ..media.picture_files import mask_files, picture_files
from ..metrics.assignment import frame_order
from ..metrics.video_protocols import VOID
from .wording import pixels, some

FRAMES, MASKS = "frames", "masks"


class SequenceRows:
    """See `evaluated_rows.Rows`; `folder` has one for each sequence. Of masks, beside ids, 255 is nobody's.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no sequence in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"`dataset` must be a folder of sequences, found none: {folder}")
        found = sorted(path for path in folder.iterdir() if (path / FRAMES).is_dir() and (path / MASKS).is_dir())
        if not found:
            raise UsageError(f"`dataset` must hold <sequence>/{FRAMES} and <sequence>/{MASKS}, got none: {folder}")
        self._folders = found
        self.sample_ids = [path.name for path in found]

    def row(self, index: int) -> Row:
        """A sequence.

        Raises:
            ValueError: it has no frames, a mask without a frame or of another size, or no mask.
        """
        folder = self._folders[index]
        pictures = {path.stem: path for path in picture_files(folder / FRAMES)}
        files = {path.stem: path for path in mask_files(folder / MASKS)}
        names = sorted(pictures, key=frame_order)
        if not names or not files:
            raise UsageError(f"`dataset` has a sequence without {FRAMES if not names else MASKS}: {folder}")
        if foreign := sorted(set(files) - set(names)):
            raise UsageError(f"`dataset` has masks without a frame: {some(foreign)} in {folder}")
        with Image.open(pictures[names[0]]) as picture:
            size = (picture.height, picture.width)
        instances = _instances(names, files, size)
        frames = [{"bytes": pictures[name].read_bytes(), "path": pictures[name].name} for name in names]
        return make_row(
            folder.name,
            frames,
            instances,
            source="davis-like",
            split="all",
            image_id=f"davis-like:{folder.name}",
            size=size,
            frame_names=names,
            annotated=[name in files for name in names],
        )

    def categories(self) -> list[str]:
        """None are known."""
        return ["" for _ in self._folders]


def _instances(names: list[str], files: dict[str, Path], size: tuple[int, int]) -> list[dict[str, Any]]:
    given = {name: read_mask(file, "dataset") for name, file in files.items()}
    numbered = any(mask.values.any() and not mask.plain for mask in given.values())
    # Beside files with ids, one of 0 and 255 shows void pixels alone.
    labels = {name: np.where(mask.plain and numbered, 0, mask.values) for name, mask in given.items()}
    for name, values in labels.items():
        if values.shape != size:
            raise UsageError(
                f"`dataset` must have masks of the size of their frames, {pixels(size)}, got {pixels(values.shape)}: "
                f"{files[name]}"
            )
    ids = set().union(*(set(np.unique(values).tolist()) for values in labels.values())) - {0}
    instances = []
    for number in sorted(ids - {VOID}):
        masks = {index: labels[name] == number for index, name in enumerate(names) if name in labels}
        instances.append(make_instance(number, masks))
    return instances
