"""Where downloaded models lie on this machine.

`UNIREF_HOME` names the folder; without it, it is `uniref` beside the cache of the Hub (`~/.cache/huggingface/uniref`).
In it `models/NAME` is a folder that Transformers loads, `originals/NAME.pth` a file on its way to become one, and
`checksums.json` remembers what was downloaded, so that a later download that differs is noticed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from .atomic import replacing
from .json_writing import to_json

VARIABLE = "UNIREF_HOME"


def home() -> Path:
    """The folder; it need not exist."""
    if given := os.environ.get(VARIABLE):
        return Path(given).expanduser().absolute()
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "uniref"


def model_folder(name: str) -> Path:
    """Where the converted model of a name lies, or would lie."""
    return home() / "models" / name


def original_file(name: str) -> Path:
    """Where the original checkpoint of a name lies, or would lie."""
    return home() / "originals" / f"{name}.pth"


def is_here(name: str) -> bool:
    """Whether the converted model is there; it is renamed to its place when it is complete."""
    return (model_folder(name) / "config.json").is_file()


def is_partly_here(name: str) -> bool:
    """Whether a transfer has begun, or ended without the conversion."""
    original = original_file(name)
    return original.is_file() or any(original.parent.glob(f"{original.name}*.part"))


@dataclass(frozen=True)
class Checksum:
    """What a download brought.

    Attributes:
        sha256: of the original file; of a converted model from the Hub, that which its provenance names.
        size: in bytes.
        source: where it came from: a URL, a Hub id, or the name of a file.
    """

    sha256: str
    size: int
    source: str


def known_checksum(name: str) -> Checksum | None:
    """What the last download of a name brought; None before the first."""
    entry = _checksums().get(name)
    return None if entry is None else Checksum(**entry)


def remember_checksum(name: str, checksum: Checksum) -> None:
    """Notes what a download brought."""
    with replacing(home() / "checksums.json") as partial:
        partial.write_text(to_json({**_checksums(), name: asdict(checksum)}, indent=2) + "\n", encoding="utf-8")


def _checksums() -> dict[str, dict]:
    path = home() / "checksums.json"
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        return {}  # a damaged note costs a warning that could have been, not a download


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Two processes that want the same model do not disturb each other: the second waits."""
    from filelock import FileLock

    folder = home() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock"):
        yield
