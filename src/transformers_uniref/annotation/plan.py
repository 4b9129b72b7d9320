"""What an annotation is going to do, known before a picture is read, and the manifest that remembers it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.atomic import replacing
from ..core.errors import UsageError
from ..core.json_writing import to_json
from ..core.version import __version__
from .columns import Columns
from .settings import AnnotationSettings
from .source import Source

FORMAT = 1
"""Raised when rows of the same input change, so that older shards are not taken for finished ones."""

MANIFEST = "annotation.json"


@dataclass(frozen=True)
class Plan:
    """Where the rows are, and what decides about the answers.

    Attributes:
        settings: by name, in words for people; two annotations with other ones are not mixed.
        sizes: rows of every part of the input.
        shard_size: rows of an output file.
    """

    settings: dict[str, Any]
    sizes: tuple[int, ...]
    shard_size: int

    @property
    def rows(self) -> int:
        """Rows of the input."""
        return sum(self.sizes)

    @property
    def shards(self) -> int:
        """Files of the output."""
        return -(-self.rows // self.shard_size)

    @property
    def fingerprint(self) -> str:
        """Kept in every shard."""
        return hashlib.sha256(json.dumps([FORMAT, self.settings], sort_keys=True).encode()).hexdigest()

    def bounds(self, shard: int) -> tuple[int, int]:
        """The rows of a shard: first, and last exclusive."""
        return shard * self.shard_size, min((shard + 1) * self.shard_size, self.rows)


def make_plan(
    source: Source,
    columns: Columns,
    settings: AnnotationSettings,
    identity: str,
    progress: Callable[[int], Any] = lambda rows: None,
) -> Plan:
    """Read ids and sentences of the whole dataset, count rows and look for ids that come twice.

    Ids are compared on disk, so that memory does not grow with the dataset. `identity` is that of what answers;
    `progress` is called with the number of rows read since.

    Raises:
        ValueError: an id is missing or comes twice, or there are no rows.
    """
    digest = hashlib.sha256()
    sizes: list[int] = []
    number = 0
    with tempfile.TemporaryDirectory(prefix="uniref-annotate-") as folder:
        ids = _Ids(Path(folder) / "ids", columns.sample_id)
        for part in source.scan(columns.light):
            size = 0
            for row in part:
                sample_id = columns.row_id(row, number)
                ids.add(sample_id, number)
                digest.update(json.dumps([sample_id, columns.sentences(row)], default=str).encode())
                number, size = number + 1, size + 1
                progress(1)
            sizes.append(size)
        ids.close()
    if not number:
        raise UsageError(f"`dataset`: {source.name!r} has no rows in the split {source.split}")
    return Plan(
        {
            "dataset": source.name,
            "split": source.split,
            "ids and sentences": digest.hexdigest(),
            "columns": asdict(columns),
            "model and examples": identity,
            "examples": len(settings.reference_images),
            "threshold": settings.threshold,
            "mask threshold": settings.mask_threshold,
            "pictures copied": settings.copy_images,
            "shard size": settings.shard_size,
            **({"targets": settings.targets} if settings.targets != "one" else {}),
        },
        tuple(sizes),
        settings.shard_size,
    )


class _Ids:
    """Ids in a table on disk; rows that are numbered need none."""

    def __init__(self, path: Path, column: str | None) -> None:
        self._column = column
        self._table = sqlite3.connect(path)
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID")

    def add(self, sample_id: str, number: int) -> None:
        if self._column is None:
            return
        try:
            self._table.execute("INSERT INTO ids VALUES (?, ?)", (sample_id, number))
        except sqlite3.IntegrityError as error:
            (before,) = self._table.execute("SELECT number FROM ids WHERE id = ?", (sample_id,)).fetchone()
            self.close()
            raise UsageError(
                f"`id_column`: the id {sample_id!r} in {self._column} comes twice, in the rows {before} and {number} "
                "(counted from 0); name a column whose values are unique"
            ) from error

    def close(self) -> None:
        self._table.close()


def write_manifest(folder: Path, plan: Plan) -> None:
    """Write the plan into the output folder."""
    content = {
        "format": FORMAT,
        "version": __version__,
        "fingerprint": plan.fingerprint,
        "settings": plan.settings,
        "rows": plan.rows,
        "shards": plan.shards,
        "shard_size": plan.shard_size,
        "parts": list(plan.sizes),
    }
    with replacing(folder / MANIFEST) as partial:
        partial.write_text(to_json(content, indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> tuple[Plan, str] | None:
    """The plan in an output folder and its fingerprint; None where there is none.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        plan = Plan(dict(values["settings"]), tuple(int(size) for size in values["parts"]), int(values["shard_size"]))
        return plan, str(values["fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"`output`: {path} is not what `uniref annotate` writes ({error}); name another folder or give `overwrite`"
        ) from error


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two annotations disagree about, one line each."""
    lines = []
    for name in dict.fromkeys([*before, *now]):
        # As they are after reading the manifest.
        old, new = before.get(name), json.loads(json.dumps(now.get(name)))
        if old != new:
            shown = isinstance(new, (int, float, type(None))) or name in ("dataset", "split")
            lines.append(f"{name} ({_said(old)} then, {_said(new)} now)" if shown else name)
    return lines


def _said(value: Any) -> str:
    return "none" if value is None else str(value)
