"""Keeping the pictures of the val and test splits of RefCOCO, RefCOCO+ and RefCOCOg out of every mixture.

Rows say what picture they show (`image_id`), and the converters list what is held out, see
`datasets/converters/held_out.py`. Rows without `image_id`, of one's own data, are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import UsageError
from ...datasets.converters.held_out import COLLECTION, HELD_OUT_FILE, read_held_out
from ..config.data import MixtureConfig


class HeldOut:
    """The pictures that a run must not show.

    Args:
        lists: `image_id`s by set, as far as they are known.
        wanted: the sets to keep out.
    """

    def __init__(self, lists: Mapping[str, frozenset[str]], wanted: Sequence[str]) -> None:
        self.missing = [name for name in wanted if name not in lists]
        self.images = frozenset().union(*(lists[name] for name in wanted if name in lists))

    @classmethod
    def of_datasets(cls, mixture: MixtureConfig, sources: Iterable[str]) -> HeldOut:
        """From `mixture.held_out` and from the lists beside the files of the datasets' `sources`.

        Raises:
            ValueError: a path of `mixture.held_out` holds no list.
        """
        paths = [Path(path) for path in mixture.held_out]
        for path in paths:
            if not (path / HELD_OUT_FILE if path.is_dir() else path).is_file():
                raise UsageError(f"mixture.held_out: {path} is no list of held-out pictures and holds none")
        paths += sorted({list_file for source in sources for list_file in _beside(source)})
        return cls(read_held_out(paths), mixture.held_out_sets)

    def allows(self, image_id: str | None, name: str) -> bool:
        """Whether a picture may be trained on.

        Args:
            image_id: of a row; None or empty: unknown.
            name: of the dataset, for the message.

        Raises:
            ValueError: it is one of COCO, and a list is missing.
        """
        if not image_id:
            return True
        self._check(image_id.startswith(COLLECTION), name)
        return image_id not in self.images

    def allowed(self, column: Any, name: str) -> np.ndarray:
        """(n,) bool: `allows` for an Arrow column of `image_id`s."""
        import pyarrow as pa
        import pyarrow.compute as pc

        of_coco = pc.fill_null(pc.starts_with(column, COLLECTION), False)
        self._check(bool(pc.any(of_coco).as_py()), name)
        known = pa.array(sorted(self.images), type=pa.string())
        return ~np.asarray(pc.fill_null(pc.is_in(column, value_set=known), False)).astype(bool)

    def _check(self, of_coco: bool, name: str) -> None:
        if of_coco and self.missing:
            raise UsageError(
                f"dataset {name!r} shows pictures of COCO, among which are those that {', '.join(self.missing)} test "
                "on, and no list says which: give the folders of `uniref data build` in mixture.held_out, or name the "
                "sets to keep out in mixture.held_out_sets (an empty list keeps nothing out)"
            )


def _beside(source: str) -> list[Path]:
    """The list in a dataset's folder, or in the two above a file or pattern of files."""
    if not source or source.startswith("world:"):
        return []
    path = Path(source)
    return [file for folder in (path, path.parent, path.parent.parent) if (file := folder / HELD_OUT_FILE).is_file()]
