"""The folder that a user downloaded: plain files, and ZIP archives that lie beside them and need not be unpacked."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ...core.errors import UsageError

_CHUNK = 1 << 20


class SourceTree:
    """Files by relative path, from a folder or from the archives at its top, or from one archive.

    Args:
        root: a folder, or a ZIP file. Of a file that is both in the folder and in an archive, the folder's counts.

    Raises:
        FileNotFoundError: `root` does not exist.
        ValueError: an archive is truncated, or none.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self.base = ""  # paths are relative to it, see `below`
        if not self.root.exists():
            raise FileNotFoundError(f"`source`: there is no folder or archive {self.root}")
        there = sorted(self.root.iterdir()) if self.root.is_dir() else [self.root]
        self.archives = [path for path in there if path.suffix.lower() == ".zip"] if self.root.is_dir() else there
        self._other_cases: dict[str, dict[tuple[str, str], str]] = {}
        self._opened: dict[int, list[zipfile.ZipFile]] = {}
        self._members: dict[str, int] = {}
        self._folders: dict[str, tuple[set[str], set[str]]] = {}
        for number, archive in enumerate(self._zips()):
            for info in archive.infolist():
                if not info.filename.startswith("__MACOSX/"):
                    self._remember(info, number)

    def _remember(self, info: zipfile.ZipInfo, number: int) -> None:
        path = PurePosixPath(info.filename)
        if info.is_dir():
            self._folders.setdefault(str(path), (set(), set()))
        else:
            self._members.setdefault(str(path), number)
            self._folders.setdefault(_parent(path), (set(), set()))[1].add(path.name)
        while path.parent != path:
            path = path.parent
            if path.name:
                self._folders.setdefault(_parent(path), (set(), set()))[0].add(path.name)

    def _zips(self) -> list[zipfile.ZipFile]:
        """The archives, opened once a process: two processes must not share a position in a file."""
        process = os.getpid()
        if process not in self._opened:
            self._opened = {process: [_open_zip(path) for path in self.archives]}
        return self._opened[process]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": {}}

    def below(self, folder: str) -> SourceTree:
        """The same tree with paths relative to `folder`."""
        other = SourceTree.__new__(SourceTree)
        other.__dict__.update(self.__dict__ | {"base": self.full(folder), "_opened": {}})
        return other

    def full(self, path: str) -> str:
        """`path` relative to the root instead of the base."""
        full = str(PurePosixPath(self.base, path))
        return "" if full == "." else full

    def _spelt(self, path: str) -> str:
        """`path` as the file is spelt: its suffix may be in capitals."""
        if self._is_there(path):
            return path
        folder, _, name = path.rpartition("/")
        if self.full(folder) not in self._other_cases:
            spelt = {(PurePosixPath(n).stem, PurePosixPath(n).suffix.lower()): n for n in self.files(folder)}
            self._other_cases[self.full(folder)] = spelt
        wanted = PurePosixPath(name)
        found = self._other_cases[self.full(folder)].get((wanted.stem, wanted.suffix.lower()))
        return path if found is None else str(PurePosixPath(folder, found))

    def _is_there(self, path: str) -> bool:
        plain = self._plain(path)
        return (plain is not None and plain.is_file()) or self.full(path) in self._members

    def _plain(self, path: str) -> Path | None:
        if not self.root.is_dir():
            return None
        return self.root / self.full(path)

    def is_file(self, path: str) -> bool:
        """Whether there is a file `path`; here and below its suffix may be in capitals."""
        return self._is_there(self._spelt(path))

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder `path`."""
        path = self._spelt(path)
        plain = self._plain(path)
        full = self.full(path)
        return (plain is not None and plain.exists()) or full in self._members or full in self._folders

    def folders(self, path: str = "") -> list[str]:
        """Names of the folders in `path`, sorted."""
        return self._list(path, 0)

    def files(self, path: str = "") -> list[str]:
        """Names of the files in `path`, sorted; hidden ones are left out."""
        return [name for name in self._list(path, 1) if not name.startswith(".")]

    def _list(self, path: str, kind: int) -> list[str]:
        names = set(self._folders.get(self.full(path), (set(), set()))[kind])
        plain = self._plain(path)
        if plain is not None and plain.is_dir():
            with os.scandir(plain) as entries:
                names |= {entry.name for entry in entries if entry.is_file() == bool(kind)}
        return sorted(names)

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """A file to read bytes from.

        Raises:
            FileNotFoundError: there is none.
            ValueError: its archive is damaged.
        """
        path = self._spelt(path)
        plain = self._plain(path)
        if plain is not None and plain.is_file():
            with plain.open("rb") as file:
                yield file
            return
        full = self.full(path)
        if full not in self._members:
            raise FileNotFoundError(f"`source`: there is no file {self.name(path)}")
        try:
            with self._zips()[self._members[full]].open(full) as member:
                yield member
        except (zipfile.BadZipFile, EOFError, zlib.error) as error:
            archive = self.archives[self._members[full]]
            raise UsageError(f"`source`: {archive} is damaged at {full} ({error}); download it again") from error

    def read(self, path: str) -> bytes:
        """All of a file; see `open`."""
        with self.open(path) as file:
            return file.read()

    def name(self, path: str) -> str:
        """What to call a file in a message."""
        return str(self.root / self.full(path))

    def sha256(self, path: str) -> tuple[int, str]:
        """Size in bytes and SHA-256 of a file."""
        digest, size = hashlib.sha256(), 0
        with self.open(path) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        return size, digest.hexdigest()

    def stamp(self, path: str) -> str:
        """Changes when the file does, without reading it: its name, size and time, or those of its archive."""
        path = self._spelt(path)
        plain = self._plain(path)
        if plain is None or not plain.is_file():
            plain = self.archives[self._members[self.full(path)]]
        status = plain.stat()
        text = f"{self.full(path)}\0{plain.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def first(self, paths: Sequence[str]) -> str | None:
        """The first of `paths` that exists."""
        return next((path for path in paths if self.exists(path)), None)

    def locate(self, required: Sequence[str | Sequence[str]], bases: Sequence[str] = ("",)) -> SourceTree:
        """The tree below the first of `bases` that holds everything in `required`.

        Args:
            required: paths; of a sequence of paths one must be there.
            bases: folders to look in.

        Raises:
            FileNotFoundError: none does; names what is missing where most is there.
        """
        best: list[str] | None = None
        where = ""
        for base in bases:
            tree = self.below(base)
            choices = [[entry] if isinstance(entry, str) else list(entry) for entry in required]
            missing = [" or ".join(paths) for paths in choices if tree.first(paths) is None]
            if not missing:
                return tree
            if best is None or len(missing) < len(best):
                best, where = missing, base
        inside = f"{self.root}/{self.full(where)}".rstrip("/")
        raise FileNotFoundError(f"`source`: {inside} lacks {', '.join(best or [])}; docs/data.md shows the layout")


def _parent(path: PurePosixPath) -> str:
    return "" if str(path.parent) == "." else str(path.parent)


def _open_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UsageError(f"`source`: {path} is truncated or no ZIP archive ({error}); download it again") from error
