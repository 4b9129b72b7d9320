"""Large annotation files as an index on disk: read once as a stream, then asked for one picture at a time.

The files of Objects365 and MeViS have several gigabytes; as Python objects they would need ten times that. The index is
an SQLite file in the build's own folder, made whole or not at all.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ...core.atomic import replacing
from ...core.errors import UsageError
from ...core.optional import require
from .source_tree import SourceTree


def _streamed(tree: SourceTree, path: str, prefix: str, pairs: bool = False) -> Iterator[Any]:
    """The elements of the list (or the pairs of the dictionary) at `prefix`."""
    ijson = require("ijson", "data", "reading large JSON files")
    with tree.open(path) as file:
        try:
            yield from (ijson.kvitems if pairs else ijson.items)(file, prefix, use_float=True)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            raise UsageError(f"`source`: {tree.name(path)} is no whole JSON file ({error})") from error


def _insert(connection: sqlite3.Connection, statement: str, rows: Iterable[tuple[Any, ...]], where: str) -> None:
    try:
        connection.executemany(statement, rows)
    except sqlite3.IntegrityError as error:
        raise UsageError(f"`source`: {where} comes twice ({error})") from error


class AnnotationIndex:
    """Pictures (or videos) and their annotations, of a file in COCO's form, as an SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections: dict[int, sqlite3.Connection] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_connections": {}}

    def _query(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        process = os.getpid()
        if process not in self._connections:
            self._connections = {process: sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)}
        return self._connections[process].execute(statement, arguments).fetchall()

    def image_ids(self) -> list[int]:
        """All ids, in the order of the file."""
        return [row[0] for row in self._query("SELECT id FROM image ORDER BY position")]

    def _data(self, statement: str, *arguments: Any) -> Any:
        """The first row's only column, from JSON; None without a row."""
        found = self._query(statement, *arguments)
        return json.loads(found[0][0]) if found else None

    def image(self, image_id: int) -> dict[str, Any] | None:
        """The entry of a picture."""
        entry: dict[str, Any] | None = self._data("SELECT data FROM image WHERE id = ?", image_id)
        return entry

    def annotations(self, image_id: int) -> list[dict[str, Any]]:
        """The annotations of a picture, in the order of the file."""
        found = self._query("SELECT data FROM annotation WHERE image_id = ? ORDER BY position", image_id)
        return [json.loads(row[0]) for row in found]

    def lost_annotations(self) -> list[int]:
        """Pictures that annotations name and the file does not list."""
        missing = "image_id NOT IN (SELECT id FROM image)"
        return [row[0] for row in self._query(f"SELECT DISTINCT image_id FROM annotation WHERE {missing} ORDER BY 1")]

    def doubled_annotations(self) -> list[int]:
        """Annotation ids that come more than once."""
        return [row[0] for row in self._query("SELECT id FROM annotation GROUP BY id HAVING COUNT(*) > 1 ORDER BY id")]

    def categories(self) -> dict[int, tuple[int, str]]:
        """By the file's category id: its number from 0 (in the order of the ids) and its name."""
        entries = sorted(self._data("SELECT data FROM category"), key=lambda entry: int(entry["id"]))
        return {int(entry["id"]): (number, str(entry["name"])) for number, entry in enumerate(entries)}

    def entry(self, key: str) -> Any:
        """The value of `key` in an index of a dictionary; None where there is none."""
        return self._data("SELECT data FROM entry WHERE key = ?", key)


def build_annotation_index(tree: SourceTree, path: str, work: Path, of: str = "image") -> AnnotationIndex:
    """Index a file {"images", "annotations", "categories"}, or with `of="video"` "videos", in the folder `work`.

    An index that is there already, of the same file, is taken.

    Raises:
        ValueError: the file is no whole JSON, or an id of a picture comes twice.
    """
    name = tree.name(path)

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE image (id INTEGER PRIMARY KEY, position INTEGER, data TEXT)")
        connection.execute("CREATE TABLE annotation (image_id INTEGER, position INTEGER, id INTEGER, data TEXT)")
        connection.execute("CREATE TABLE category (data TEXT)")
        images = _streamed(tree, path, f"{of}s.item")
        rows = ((int(entry["id"]), number, json.dumps(entry)) for number, entry in enumerate(images))
        _insert(connection, "INSERT INTO image VALUES (?, ?, ?)", rows, f"{name}: an {of} id")
        annotations = _streamed(tree, path, "annotations.item")
        marked = (
            (int(entry[f"{of}_id"]), number, entry.get("id"), json.dumps(entry))
            for number, entry in enumerate(annotations)
        )
        connection.executemany("INSERT INTO annotation VALUES (?, ?, ?, ?)", marked)
        categories = list(_streamed(tree, path, "categories.item"))
        connection.execute("INSERT INTO category VALUES (?)", (json.dumps(categories),))
        connection.execute("CREATE INDEX of_image ON annotation (image_id)")

    return _index(tree, path, work, fill)


def build_keyed_index(tree: SourceTree, path: str, work: Path) -> AnnotationIndex:
    """Index a file that is one dictionary; see [`build_annotation_index`]."""

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE entry (key TEXT PRIMARY KEY, data TEXT)")
        rows = ((key, json.dumps(value)) for key, value in _streamed(tree, path, "", pairs=True))
        _insert(connection, "INSERT INTO entry VALUES (?, ?)", rows, f"{tree.name(path)}: a key")

    return _index(tree, path, work, fill)


def _index(tree: SourceTree, path: str, work: Path, fill: Callable[[sqlite3.Connection], None]) -> AnnotationIndex:
    target = work / f"index-{tree.stamp(path)}.sqlite"
    if not target.is_file():
        with replacing(target) as partial:
            connection = sqlite3.connect(partial)
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            fill(connection)
            connection.commit()
            connection.close()
    return AnnotationIndex(target)


def read_json(tree: SourceTree, path: str) -> Any:
    """A small JSON file.

    Raises:
        ValueError: it is none, or a key comes twice in one of its dictionaries.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            doubled = next(key for key in keys if keys.count(key) > 1)
            raise UsageError(f"the key {doubled!r} comes twice")
        return dict(pairs)

    try:
        return json.loads(tree.read(path), object_pairs_hook=unique)
    except ValueError as error:
        raise UsageError(f"`source`: {tree.name(path)}: {error}") from error
