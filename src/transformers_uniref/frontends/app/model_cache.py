"""Which models users may choose, and the few of them that are in memory."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.model_names import NotDownloadedError, model_location
from ...core.released_models import RELEASED_BY_NAME
from ..errors import UserError, describe
from ..loading import load_model_and_processor
from .limits import KEPT_MODELS, MAX_MODEL_BYTES
from .settings import AppSettings

if TYPE_CHECKING:
    from ...modeling.shared_model import AnyUniRefModel
    from ...processors.processing_uniref import UniRefProcessor

BUNDLED, RELEASED, FOLDER, HUB = "bundled", "released", "folder", "Hub id"

FETCHED = ["*.json", "*.safetensors", "*.txt", "*.model"]
"""Files of a Hub repository that are fetched: weights without pickles, configuration, tokenizer."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_DEPTH = 2


@dataclass(frozen=True)
class ModelChoice:
    """What a user chose: `BUNDLED`, `RELEASED`, `FOLDER` or `HUB`, and a name, "" for the bundled model.

    Folders lie below the root or anywhere.
    """

    kind: str = BUNDLED
    name: str = ""

    def __str__(self) -> str:
        return self.name or "the model of the start"


class ModelCache:
    """Loads models that the settings allow; safe to use from several threads."""

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self._lock = threading.Lock()
        self._loaded: OrderedDict[ModelChoice, tuple[AnyUniRefModel, UniRefProcessor]] = OrderedDict()

    @property
    def kinds(self) -> list[str]:
        """The kinds of choices that are open."""
        folders = self.settings.allow_folders or self.settings.models_root is not None
        return [BUNDLED, RELEASED, *([FOLDER] if folders else []), *([HUB] if self.settings.hub else [])]

    def folders(self) -> list[str]:
        """Model folders below the root, as users name them."""
        root = self.settings.models_root
        if root is None:
            return []
        patterns = ["/".join(["*"] * depth) + "/config.json" for depth in range(1, _DEPTH + 1)]
        found = {file.parent.relative_to(root).as_posix() for pattern in patterns for file in root.glob(pattern)}
        return sorted(name for name in found if self._below_root(name))

    def get(self, choice: ModelChoice) -> tuple[AnyUniRefModel, UniRefProcessor]:
        """The model, ready to predict, and its processor."""
        location = self.locate(choice)
        with self._lock:
            if choice not in self._loaded:
                self._loaded[choice] = self._load(location)
                while len(self._loaded) > KEPT_MODELS:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(choice)
            return self._loaded[choice]

    def locate(self, choice: ModelChoice) -> str | None:
        """Where a choice lies on this machine, fetched from the Hub if need be; None for the bundled default."""
        if choice.kind not in self.kinds:
            raise UserError(f"This kind of model cannot be chosen here: {choice.kind}.")
        if choice.kind == FOLDER:
            return str(self._folder(choice.name))
        if choice.kind == RELEASED:
            return self._released(choice.name)
        if choice.kind == HUB:
            with self._lock:
                return str(_fetch(choice.name))
        return self.settings.model

    def _load(self, location: str | None) -> tuple[AnyUniRefModel, UniRefProcessor]:
        return load_model_and_processor(location, self.settings.device, self.settings.dtype)

    def _released(self, name: str) -> str:
        if name not in RELEASED_BY_NAME:
            raise UserError("Choose one of the listed models.")
        try:
            return model_location(name)
        except NotDownloadedError as error:
            how = "press “Fetch it” first" if self.settings.may_fetch else f"its operator can: uniref download {name}"
            raise UserError(f"{name} is not on this machine yet; {how}.") from error

    def _folder(self, name: str) -> Path:
        if not name.strip():
            raise UserError("Name a folder that holds a model.")
        if name in self.folders():
            return self._root() / name
        if not self.settings.allow_folders:
            raise UserError("Only the listed model folders can be chosen.")
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
            raise UserError(f"This is no folder with a model in it: {name}")
        return folder

    def _below_root(self, name: str) -> bool:
        """Whether a folder lies below the root in truth, and not through a link that leads elsewhere."""
        return (self._root() / name).resolve().is_relative_to(self._root())

    def _root(self) -> Path:
        assert self.settings.models_root is not None
        return self.settings.models_root.resolve()


def _fetch(name: str) -> Path:
    """The folder in the Hub's cache that holds a model, fetched when it is not there."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HTTPError

    name = name.strip()
    if not _HUB_ID.fullmatch(name):
        raise UserError(f"A Hub id looks like owner/name, got {name!r}.")
    try:
        info = HfApi().model_info(name, files_metadata=True, timeout=10)
        size = sum(file.size or 0 for file in info.siblings or [] if Path(file.rfilename).suffix == ".safetensors")
        if size > MAX_MODEL_BYTES:
            raise UserError(
                f"The model {name} has {size / 2**30:.1f} GB of weights; up to {MAX_MODEL_BYTES / 2**30:.0f} GB "
                "are accepted."
            )
        folder = Path(snapshot_download(name, revision=info.sha, allow_patterns=FETCHED))
    except (HTTPError, OSError, ValueError) as error:
        folder = _cached(name, error)
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        raise UserError(f"{name} is an adapter: merge it first, uniref export {name} --output DIR.")
    return folder


def _cached(name: str, reason: Exception) -> Path:
    """What an earlier visit left, for machines that do not reach the Hub."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=FETCHED, local_files_only=True))
    except (OSError, ValueError) as error:
        raise UserError(f"The model {name} cannot be had from the Hub: {describe(reason)[:300]}") from error
