"""Picture files in a folder, by suffix in letters of either case: cameras and Windows write `.JPG` and `.PNG`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .clips.kinds import FRAME_SUFFIXES

JPEG_SUFFIXES = (".jpg", ".jpeg")
PNG_SUFFIXES = (".png",)


def picture_files(folder: Path, suffixes: Sequence[str] = FRAME_SUFFIXES) -> list[Path]:
    """Files with one of the suffixes (small letters), sorted by name; hidden ones are left out."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in suffixes and not file.name.startswith(".") and file.is_file()
    )


def mask_files(folder: Path) -> list[Path]:
    """The PNG files of a folder or, where it has none, all its pictures."""
    return picture_files(folder, PNG_SUFFIXES) or picture_files(folder)
