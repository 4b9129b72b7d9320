"""Results of a long run, block by block in whole files, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.atomic import replacing
from ..core.errors import UsageError
from ..core.json_writing import to_json

RUN_FILE = "run.json"
BLOCKS = "blocks"


class ResultBlocks:
    """A folder with `run.json`, which says what the run is, and `blocks/NUMBER.json`, one for each finished block.

    Args:
        folder: of the run; made if it is missing.
        identity: everything that the results depend on, as plain JSON values. A folder of another identity is refused,
            so that results of different settings are never mixed.

    Raises:
        ValueError: `folder` is of another run, or holds other files.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.identity: dict[str, Any] = json.loads(to_json(dict(identity)))

    def open(self) -> None:
        """Check the folder, and say in it whose it is. One process calls this before the others read or write."""
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"`output` must be a folder, got a file: {self.folder}")
        marker = self.folder / RUN_FILE
        if marker.is_file():
            self._compare(marker)
        elif self.folder.is_dir() and any(self.folder.iterdir()):
            raise UsageError(
                f"`output` must be empty, or the folder of this run, got one with other files: {self.folder}"
            )
        (self.folder / BLOCKS).mkdir(parents=True, exist_ok=True)
        if not marker.is_file():
            _write_json(marker, self.identity)

    def check_shared(self) -> None:
        """Raises ValueError where this process does not see what the main one wrote."""
        if not (self.folder / RUN_FILE).is_file():
            raise UsageError(f"`output` must be a folder that all processes share, this one does not see {self.folder}")

    def _compare(self, marker: Path) -> None:
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"`output` has a damaged {RUN_FILE}: {marker}; name another folder") from error
        if found == self.identity:
            return
        keys = sorted({*found, *self.identity}) if isinstance(found, dict) else []
        differing = [key for key in keys if found.get(key) != self.identity.get(key)]
        raise UsageError(
            f"`output` is of another run, which differs in {', '.join(differing) or 'everything'}; name another folder "
            f"or remove it: {self.folder}"
        )

    def _path(self, number: int) -> Path:
        return self.folder / BLOCKS / f"{number:06d}.json"

    def finished(self) -> set[int]:
        """Numbers of the blocks that are there."""
        return {int(path.stem) for path in (self.folder / BLOCKS).glob("*.json") if path.stem.isdecimal()}

    def write(self, number: int, content: Mapping[str, Any]) -> None:
        """Writes a block, plain JSON values, whole or not at all."""
        _write_json(self._path(number), content)

    def read(self, number: int) -> dict[str, Any]:
        """What was written.

        Raises:
            ValueError: the file is damaged; it is named.
        """
        path = self._path(number)
        try:
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(f"`output` has a damaged block, remove it to measure it again: {path}") from error
        return content


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with replacing(path) as partial:
        partial.write_text(to_json(content, ensure_ascii=False), encoding="utf-8")


def digest_of(names: list[str]) -> str:
    """A short digest of a list of names, in their order."""
    return hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]
