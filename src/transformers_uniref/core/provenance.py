"""Where a model folder's weights are from, in a file beside them: `provenance.json`, which its card tells."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from .errors import UsageError
from .json_writing import to_json
from .version import __version__

FILE_NAME = "provenance.json"

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass
class Provenance:
    """How weights came about. Names only what others can look up: Hub ids, file names and recipes, no local paths.

    Attributes:
        origin: by `uniref train`; by `uniref convert`; by `uniref convert --sam`, and not trained yet.
        package: name and version of what wrote the folder.
        recipe: the training's name.
        steps: steps that were taken.
        seed: of the training.
        data: `{"name", "task", "source"}` of each dataset, the last empty where it is no Hub id.
        started_from: part of the model to the Hub id, recipe or file its start values are from; empty where it is
            neither.
        source: name, or address, of the file that was converted.
        source_sha256: of that file.
        released: name of the authors' weights that it holds, where they were downloaded by it.
    """

    origin: Literal["trained", "converted", "assembled"]
    package: str = ""
    recipe: str = ""
    steps: int = 0
    seed: int = 0
    data: list[dict[str, str]] = field(default_factory=list)
    started_from: dict[str, str] = field(default_factory=dict)
    source: str = ""
    source_sha256: str = ""
    released: str = ""

    def __post_init__(self) -> None:
        self.package = self.package or f"transformers_uniref {__version__}"


def converted(path: str | os.PathLike[str]) -> Provenance:
    """What the converter knows of the file at `path`. The file says nothing of a licence."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Provenance("converted", source=Path(path).name, source_sha256=digest)


def assembled(sam: str | os.PathLike[str], text_encoder: str | None) -> Provenance:
    """An untrained UniRef-SAM around a SAM, and a text encoder or none."""
    started_from = {"SAM": hub_id(str(sam))}
    if text_encoder is not None:
        started_from["text encoder"] = hub_id(text_encoder)
    return Provenance("assembled", started_from=started_from)


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write `provenance.json` into a folder; fields that say nothing are left out."""
    values = {name: value for name, value in asdict(provenance).items() if value or name == "seed"}
    if provenance.origin != "trained":
        values.pop("seed")
    (folder / FILE_NAME).write_text(to_json(values, indent=2) + "\n", encoding="utf-8")


def read_provenance(folder: Path) -> Provenance | None:
    """What `provenance.json` says; None without the file.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        known = {part.name for part in fields(Provenance)}
        return Provenance(**{name: value for name, value in values.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: not what this package writes there ({error}); remove it to go on") from error


def hub_id(name: str) -> str:
    """`name` where it is the id of a Hub repository, or else an empty string; a folder's path is nobody's business."""
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else ""


def weights_fingerprint(folder: str | os.PathLike[str]) -> str:
    """A digest of the weight files of a folder, by which results are known to be of these weights.

    Returns:
        SHA-256, in hexadecimal, over names and contents of the safetensors files; empty where there is none.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest() if files else ""
