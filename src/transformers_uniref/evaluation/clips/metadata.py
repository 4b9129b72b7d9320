"""What a video data set's `meta.json` says beyond its masks: categories, and in which frames an object is judged."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import UsageError


class ClipMetadata:
    """`meta.json` of YouTube-VOS and MOSEv2, `valid_meta.json` of LVOS: {"videos": {CLIP: {"objects": {ID: ...}}}}.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._videos: dict[str, Any] = json.loads(self.path.read_text())["videos"]
            for video in self._videos.values():
                _objects(video)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f'`meta` must be JSON with "videos" and their "objects", got another file: {path}'
            ) from error

    def lives(self, sequence: str, frames: Sequence[str]) -> dict[int, list[str]]:
        """For each object with a frame range (LVOS), the annotated `frames` in it: its start, but not its end."""
        return {
            int(number): [name for name in frames if int(life["start"]) <= int(name) < int(life["end"])]
            for number, details in _objects(self._videos.get(sequence, {})).items()
            if (life := details.get("frame_range")) is not None
        }

    def named_by(self, entries: Collection[str]) -> set[str]:
        """ "CLIP/OBJECT" of every object whose category is among the entries."""
        return {
            f"{sequence}/{number}"
            for sequence, video in self._videos.items()
            for number, details in _objects(video).items()
            if details.get("category") in entries
        }


def _objects(video: dict[str, Any]) -> dict[str, dict[str, Any]]:
    objects = video.get("objects", {})
    # MOSEv2 lists ids alone.
    return {
        str(key): (objects[key] if isinstance(objects, dict) and isinstance(objects[key], dict) else {})
        for key in objects
    }


def read_names(path: str | os.PathLike[str], name: str) -> list[str]:
    """The lines of a text file, without empty ones and comments (`#`); "CLIP OBJECT" becomes "CLIP/OBJECT".

    Messages call the file by the argument `name`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no name, or is no text.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`{name}` names a file that does not exist: {path}")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"`{name}` must be a text file with a name in each line: {path}") from error
    names = ["/".join(line.split("#")[0].split()) for line in lines]
    names = [entry for entry in names if entry]
    if not names:
        raise UsageError(f"`{name}` must hold a name in each line, got none: {path}")
    return names
