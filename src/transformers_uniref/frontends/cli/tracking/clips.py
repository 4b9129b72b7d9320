"""Which clips the words on the command line mean: files, folders, globs, local URLs, standard input."""

from __future__ import annotations

import glob
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UserError
from ..option_types import local_path

if TYPE_CHECKING:
    from ....media.video.io import ClipInfo

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class GivenClip:
    """One clip to follow objects in.

    Attributes:
        shown: what the user called it.
        name: for its results: a file's without suffix, a folder's, "stdin".
        source: a file or folder, or the pictures that are its frames.
    """

    shown: str
    name: str
    source: Path | tuple[Path, ...]


def find_clips(given: Sequence[str], resources: ExitStack) -> list[GivenClip]:
    """The clips that are meant, in the order in which they were named; their content is not looked at.

    Pictures that a pattern finds, or several that are named, are the frames of one clip; all else is a clip each. A
    name that exists is taken as it is, even with a `*` in it. `resources` holds on to a copy of standard input.
    """
    clips: list[GivenClip] = []
    pictures: list[Path] = []
    for word in given:
        if word == STANDARD_INPUT:
            if given.count(STANDARD_INPUT) > 1:
                raise UserError("standard input can be read once: give - once")
            clips.append(GivenClip(word, "stdin", _spooled_input(resources)))
            continue
        if "://" not in word and glob.has_magic(word) and not Path(word).exists():
            clips.extend(_matching(word))
            continue
        path = local_path(word, f"only files of this machine can be read, file:///..., got {word}")
        if len(given) > 1 and _is_still(path) and path.is_file():
            pictures.append(path)
        else:
            clips.append(GivenClip(word, path.resolve().stem if path.is_file() else path.resolve().name, path))
    if pictures:
        if clips:
            raise UserError(f"pictures are the frames of one clip and cannot be mixed with clips: {pictures[0]}")
        clips.append(_clip_of_pictures(f"{pictures[0]} ... {pictures[-1]}", pictures))
    return clips


def _is_still(path: Path) -> bool:
    from ....media.video.io import FRAME_SUFFIXES

    return path.suffix.lower() in FRAME_SUFFIXES


def _matching(pattern: str) -> list[GivenClip]:
    from ....media.clips.reading import natural_order

    found = sorted((Path(name) for name in glob.glob(pattern, recursive=True)), key=natural_order)
    if not found:
        raise UserError(f"nothing matches {pattern}")
    if all(_is_still(path) and path.is_file() for path in found):
        return [_clip_of_pictures(pattern, found)]
    return [GivenClip(str(path), path.stem if path.is_file() else path.name, path) for path in found]


def _clip_of_pictures(shown: str, files: Sequence[Path]) -> GivenClip:
    return GivenClip(shown, files[0].resolve().parent.name or "frames", tuple(files))


def _spooled_input(resources: ExitStack) -> Path:
    """Copies standard input to a temporary file, since most containers cannot be read from front to back."""
    stream = sys.stdin.buffer
    if stream.isatty():
        raise UserError("- means a video on standard input, which is a terminal: pipe a file into it")
    folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="uniref-")))
    path = folder / "standard-input"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    if path.stat().st_size == 0:
        raise UserError("standard input is empty, a video was expected")
    return path


def clip_identity(info: ClipInfo) -> list[Any]:
    """By what a clip is known again, wherever it lies: its kind, and the bytes of its files."""
    files = [Path(file) for file in info.files] if info.files else [Path(info.path)]
    return [info.kind, len(files), sum(file.stat().st_size for file in files)]


def folders_for(clips: Sequence[GivenClip], output: Path | None) -> list[Path | None]:
    """A folder below `output` for each of several clips, that folder itself for one, None to make new ones."""
    if output is None or len(clips) == 1:
        return [output] * len(clips)
    folders: list[Path | None] = []
    for clip in clips:
        name, number = clip.name, 1
        while output / name in folders:
            number += 1
            name = f"{clip.name}-{number}"
        folders.append(output / name)
    return folders
