"""What may be given as IMAGE: files, folders, patterns, file:// URLs and standard input, as a list of pictures."""

from __future__ import annotations

import glob
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .option_types import local_path

if TYPE_CHECKING:
    import numpy as np

STDIN = "-"


@dataclass(frozen=True)
class PictureInput:
    """A picture that is still to be read.

    Attributes:
        label: what it is called in messages and results: its path, or "-".
        name: what its results are called; distinct among the pictures of a command.
        path: None for standard input.
    """

    label: str
    name: str
    path: Path | None

    def read(self) -> np.ndarray:
        """The picture, uint8 RGB (H, W, 3), upright."""
        from ...core.picture_input import rgb_array

        return rgb_array(self.path, "IMAGE") if self.path is not None else _from_stdin()


def find_pictures(given: Sequence[str]) -> list[PictureInput]:
    """The pictures that a command names, each once, in the order given and inside a folder or pattern naturally.

    Files, folders, patterns such as `photos/*.jpg` or `**/*.png`, file:// URLs, and at most one "-" may be given.
    """
    if list(given).count(STDIN) > 1:
        raise UserError(f"IMAGE: standard input ({STDIN}) may be given once, got it {list(given).count(STDIN)} times")
    found: list[PictureInput] = []
    seen: set[Path] = set()
    names: set[str] = set()
    for path in (path for item in given for path in _paths(item)):
        if path is not None:
            resolved = path.resolve()
            if resolved in seen:
                continue
            seen.add(resolved)
        name = _distinct("stdin" if path is None else path.stem or "picture", names)
        found.append(PictureInput(STDIN if path is None else str(path), name, path))
    return found


def names_one_file(given: Sequence[str]) -> bool:
    """Whether a command names one picture itself, rather than a folder or a pattern that may hold any number."""
    return len(given) == 1 and (given[0] == STDIN or _local_path(given[0]).is_file())


def _paths(given: str) -> list[Path | None]:
    """The files that one argument stands for; None is standard input."""
    if given == STDIN:
        return [None]
    if not given:
        raise UserError("IMAGE must be a picture, got an empty name")
    path = _local_path(given)
    if path.exists():
        return [*_files(path)]
    if "://" not in given and glob.has_magic(given):
        from ...media.clips.reading import natural_order

        matches = sorted(glob.glob(os.path.expanduser(given), recursive=True), key=natural_order)
        if not matches:
            raise UserError(f"IMAGE: no file matches {given}")
        return [file for match in matches for file in _files(Path(match))]
    raise UserError(f"IMAGE names a file that does not exist: {given}")


def _files(path: Path) -> list[Path]:
    """The pictures in a folder, or the path itself."""
    from ...media.video.io import FRAME_SUFFIXES, frame_files

    if not path.is_dir():
        return [path]
    try:
        return frame_files(path)
    except ValueError as error:
        accepted = ", ".join(FRAME_SUFFIXES)
        raise UserError(f"IMAGE: this folder holds no picture ({accepted}): {path}") from error


def _local_path(given: str) -> Path:
    return local_path(
        given, f"IMAGE must be a file of this machine or a file:// URL of it, got {given}; download it first"
    )


def _from_stdin() -> np.ndarray:
    from PIL import Image

    from ...core.picture_input import UNREADABLE, rgb_array

    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("IMAGE is -, so a picture's bytes are read from standard input, which is a terminal")
    data = sys.stdin.buffer.read()
    if not data:
        raise UserError("IMAGE is -, and standard input is empty")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except UNREADABLE as error:
        raise UserError(f"IMAGE is -, and standard input holds no readable picture ({error})") from error
    return rgb_array(picture, "IMAGE")


def _distinct(name: str, taken: set[str]) -> str:
    """`name`, or with a number behind it where it is taken; file systems may not tell A from a."""
    chosen, number = name, 1
    while chosen.casefold() in taken:
        number += 1
        chosen = f"{name}-{number}"
    taken.add(chosen.casefold())
    return chosen
