"""The masks of a clip as one JSON file in the layout of YouTube-VIS: COCO's run-length code, one list an object."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from ...core.atomic import replacing
from ...core.errors import UsageError
from ...core.json_writing import to_json
from ...core.mask_boxes import coco_box
from ...core.mask_codes import encode_rle

_COLUMNS = ("segmentations", "bboxes", "areas", "scores")


class ClipRleWriter(AbstractContextManager["ClipRleWriter"]):
    """Writes masks frame by frame; the file appears when all are written, and memory does not grow with the clip.

    The file holds `videos` (one: `width`, `height`, `length`, `file_names`), `categories` (one an object, named by its
    sentence) and `annotations`, one an object: `segmentations` ({"size": [H, W], "counts": str}), `bboxes`
    ([x, y, width, height] in pixels), `areas` and `scores`, each a list with one entry a frame. They are null where the
    object is absent; a score is null only in frames before the object was looked for, or after it has ended. `id` and
    `category_id` are the object's number.

    Until the end, what is written lies in unnamed temporary files beside the target, one an object.

    Args:
        path: name of the file.
        name: of the clip.
        texts: the objects' sentences by their numbers, None where there is none; those of objects that appear later may
            be added to it.
    """

    def __init__(self, path: str | os.PathLike[str], name: str, texts: Mapping[int, str | None]) -> None:
        self.path = Path(path)
        self.name = name
        self.texts = texts
        self.num_frames = 0
        self._size: tuple[int, int] | None = None
        self._stack = ExitStack()
        self._names: IO[str] | None = None
        self._rows: dict[int, IO[str]] = {}
        self._starts: dict[int, int] = {}
        self._counts: dict[int, int] = {}

    def __enter__(self) -> ClipRleWriter:
        self._names = self._spool()
        return self

    def write(self, file_name: str, masks: Mapping[int, np.ndarray], scores: Mapping[int, float]) -> None:
        """Appends one frame.

        Args:
            file_name: of the frame.
            masks: bool (H, W) by the number of the object; empty where it is absent.
            scores: 0..1 for the same objects.

        Raises:
            ValueError: a mask of another size than those before it.
        """
        assert self._names is not None
        self._names.write(to_json(file_name) + "\n")
        for number, mask in masks.items():
            if number not in self._rows:
                self._rows[number] = self._spool()
                self._starts[number] = self.num_frames
            self._size = self._size or (int(mask.shape[0]), int(mask.shape[1]))
            if mask.shape != self._size:
                raise UsageError(f"`masks` must have the size of the first, {self._size}, got {mask.shape}.")
            about = [encode_rle(mask), coco_box(mask), int(mask.sum())] if mask.any() else [None, None, None]
            row = [*about, round(float(scores[number]), 6)]
            self._rows[number].write(to_json(row, separators=(",", ":")) + "\n")
            self._counts[number] = self._counts.get(number, 0) + 1
        self.num_frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                with replacing(self.path) as partial, partial.open("w", encoding="utf-8") as file:
                    self._assemble(file)

    def _spool(self) -> IO[str]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self._stack.enter_context(
            tempfile.TemporaryFile("w+", encoding="utf-8", dir=self.path.parent)  # noqa: SIM115
        )

    def _assemble(self, file: IO[str]) -> None:
        assert self._names is not None
        height, width = self._size or (None, None)
        video = {"id": 1, "name": self.name, "width": width, "height": height, "length": self.num_frames}
        file.write('{"videos": [' + to_json(video)[:-1] + ', "file_names": [')
        self._names.seek(0)
        _write_list(file, (line.strip() for line in self._names))
        categories = [{"id": number, "name": self.texts.get(number) or f"object {number}"} for number in self._rows]
        file.write("]}],\n" + f'"categories": {to_json(categories)},\n"annotations": [')
        for position, number in enumerate(sorted(self._rows)):
            file.write(",\n" if position else "\n")
            self._assemble_object(file, number)
        file.write("\n]}\n")

    def _assemble_object(self, file: IO[str], number: int) -> None:
        head = {"id": number, "video_id": 1, "category_id": number, "iscrowd": 0, "text": self.texts.get(number)}
        file.write(to_json(head)[:-1])
        rows = self._rows[number]
        for column, title in enumerate(_COLUMNS):
            rows.seek(0)
            before = ["null"] * self._starts[number]
            after = ["null"] * (self.num_frames - self._starts[number] - self._counts[number])
            file.write(f', "{title}": [')
            values = (to_json(json.loads(line)[column]) for line in rows)
            _write_list(file, chain(before, values, after))
            file.write("]")
        file.write("}")


def _write_list(file: IO[str], values: Any) -> None:
    for position, value in enumerate(values):
        file.write((", " if position else "") + value)
