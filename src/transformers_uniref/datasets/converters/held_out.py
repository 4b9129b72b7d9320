"""Pictures that no training may use: those of the val and test splits of RefCOCO, RefCOCO+ and RefCOCOg.

All three are made of pictures of COCO train2014, and a picture that one of them tests on may be in the training split
of another, and in COCO 2017. Converters of the family write their list beside their rows; training reads the lists.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ...core.atomic import replacing
from ...core.errors import UsageError
from ...core.json_writing import to_json

HELD_OUT_FILE = "held_out_images.json"
COLLECTION = "coco:"


def write_held_out(folder: Path, sets: Mapping[str, Sequence[str]]) -> None:
    """Write {"sets": {name: sorted `image_id`s}} into `folder`."""
    with replacing(folder / HELD_OUT_FILE) as partial:
        partial.write_text(to_json({"sets": {name: sorted(ids) for name, ids in sets.items()}}), encoding="utf-8")


def read_held_out(paths: Iterable[str | os.PathLike[str]]) -> dict[str, frozenset[str]]:
    """The lists in some folders or files, by set; lists of one set are united.

    Raises:
        ValueError: a file has another form.
    """
    found: dict[str, frozenset[str]] = {}
    for path in map(Path, paths):
        file = path / HELD_OUT_FILE if path.is_dir() else path
        try:
            sets = json.loads(file.read_text(encoding="utf-8"))["sets"]
            for name, ids in sets.items():
                found[name] = found.get(name, frozenset()) | frozenset(str(image_id) for image_id in ids)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{file} must be a list of held-out pictures, written by `uniref data build`") from error
    return found
