"""Folders and zip files of masks, `<sequence>/<frame>.png`."""

from __future__ import annotations

import os
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..core.errors import UsageError
from ..media.label_files import read_label_png
from ..media.picture_files import PNG_SUFFIXES, picture_files
from ..metrics.assignment import frame_order


class MaskSource(ABC):
    """Label maps of sequences.

    Args:
        path: of the folder or the zip file.
        name: of the argument that named it, for messages.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        self.name, self.path = name, Path(path)
        self._files: dict[str, dict[str, Any]] = {}

    def sequences(self) -> list[str]:
        """Names, in order."""
        return sorted(self._files)

    def frames(self, sequence: str) -> list[str]:
        """Names of a sequence's frames without suffix, in the order of their numbers."""
        return sorted(self._files[sequence], key=frame_order)

    @abstractmethod
    def read(self, sequence: str, frame: str) -> np.ndarray:
        """uint8 (H, W). Raises ValueError for a file that holds no ids."""


class MaskFolder(MaskSource):
    """A folder with a folder for each sequence. Other files are left alone.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: it holds no sequences.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        super().__init__(path, name)
        if not self.path.is_dir():
            raise FileNotFoundError(f"`{name}` must be a folder of sequences, found none: {path}")
        folders = sorted(entry for entry in self.path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
        for folder in folders:
            files = {file.stem: file for file in picture_files(folder, PNG_SUFFIXES)}
            if files:
                self._files[folder.name] = files
        if not self._files:
            raise UsageError(f"`{name}` must hold <sequence>/<frame>.png, {self._found_instead(folders)}: {path}")

    def _found_instead(self, folders: list[Path]) -> str:
        if any(_is_mask(entry.name) for entry in self.path.iterdir()):
            return "got PNG files that lie in no sequence's folder"
        for folder in folders:
            if any(_is_mask(file.name) for inner in folder.iterdir() if inner.is_dir() for file in inner.iterdir()):
                return f"got one folder more (did you mean {folder}?)"
        return "got no PNG file"

    def read(self, sequence: str, frame: str) -> np.ndarray:
        """See `MaskSource`."""
        path = self._files[sequence].get(frame, self.path / sequence / f"{frame}.png")
        return read_label_png(path, f"`{self.name}`: {path}")[0]


class MaskZip(MaskSource):
    """A zip file with a folder for each sequence, at its root or in `Annotations`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no zip file, is cut off, or holds no sequences.
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        super().__init__(path, name)
        self._archive = open_zip(path, name)
        for member in self._archive.namelist():
            parts = PurePosixPath(member).parts
            parts = parts[1:] if parts and parts[0] == "Annotations" else parts
            if len(parts) == 2 and _is_mask(parts[1]) and not parts[0].startswith((".", "__MACOSX")):
                self._files.setdefault(parts[0], {})[PurePosixPath(member).stem] = member
        if not self._files:
            raise UsageError(f"`{name}` must hold <sequence>/<frame>.png, got no such file: {path}")

    def read(self, sequence: str, frame: str) -> np.ndarray:
        """See `MaskSource`."""
        member = self._files[sequence][frame]
        try:
            with self._archive.open(member) as file:
                return read_label_png(file, f"`{self.name}`: {member} in {self.path}")[0]
        except zipfile.BadZipFile as error:
            raise UsageError(f"`{self.name}`: {member} in {self.path} is damaged ({error})") from error


def open_zip(path: str | os.PathLike[str], name: str) -> zipfile.ZipFile:
    """Opens a zip file for reading.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no zip file, or is cut off.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`{name}` names a file that does not exist: {path}")
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        with open(path, "rb") as file:
            begins_well = file.read(2) == b"PK"
        kind = "is cut off or damaged: its end is missing" if begins_well else "is no zip file"
        raise UsageError(f"`{name}` {kind}: {path}") from error


def open_masks(path: str | os.PathLike[str], name: str) -> MaskSource:
    """A folder or a zip file of masks.

    Raises:
        FileNotFoundError, ValueError: see `MaskFolder` and `MaskZip`.
    """
    return MaskZip(path, name) if os.path.isfile(path) else MaskFolder(path, name)


def _is_mask(name: str) -> bool:
    return name.lower().endswith(".png") and not name.startswith(".")
