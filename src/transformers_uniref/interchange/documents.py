"""Writing and reading the documents of the formats: JSON, or XML as text. A file appears whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..core.atomic import replacing
from ..core.errors import UsageError
from ..core.json_writing import to_json


def save_document(path: str | os.PathLike[str], document: Any) -> None:
    """Writes what a `to_...` function returned.

    Args:
        path: the file; missing folders are made.
        document: a text (CVAT's XML) is written as it is, in UTF-8; anything else as JSON.

    Raises:
        TypeError: it is neither text nor JSON (a `supervision.Detections`, arrays in FiftyOne's labels).
    """
    text = document if isinstance(document, str) else to_json(document, ensure_ascii=False) + "\n"
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_document(path: str | os.PathLike[str]) -> Any:
    """What `save_document` wrote: parsed JSON, or the text of an `.xml` file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON.
    """
    file = Path(path)
    text = file.read_text(encoding="utf-8")
    if file.suffix.lower() == ".xml":
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"`path` names a file that is no JSON: {file} ({error})") from error
