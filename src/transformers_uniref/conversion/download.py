"""`download`: the authors' weights by name, as a folder that Transformers loads.

A file is fetched, checked against the list of tensors that it has to hold, converted, and renamed to its place; a
folder that Transformers loads, from a mirror on the Hub, only needs the check.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..core.model_home import (
    Checksum,
    home,
    is_here,
    known_checksum,
    model_folder,
    one_at_a_time,
    original_file,
    remember_checksum,
)
from ..core.near_names import named
from ..core.optional import require
from ..core.provenance import Provenance, hub_id, read_provenance
from ..core.released_models import RELEASED_BY_NAME, ReleasedWeights
from .transfer import Progress, TransferError, from_file, from_hub, from_web, is_url
from .whole_folder import whole_folder

MIRROR = "UNIREF_MIRROR"
"""Environment variable: an owner on the Hub whose repositories of these names are asked first."""

_MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
_ORIGINALS = ["*.pth", "*.pt", "*.pkl"]


class DownloadError(OSError):
    """A download did not become a model. Nothing is left in its place."""


@dataclass(frozen=True)
class Download:
    """What became of a download.

    Attributes:
        name: of the weights.
        folder: for `from_pretrained`.
        sha256: of the original file.
        source: where it came from.
        was_here: whether nothing had to be done.
        original: the original file, where it was kept.
    """

    name: str
    folder: Path
    sha256: str
    source: str
    was_here: bool = False
    original: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready data."""
        return {key: str(value) if isinstance(value, Path) else value for key, value in asdict(self).items()}


def download(
    name: str,
    source: str | os.PathLike[str] | None = None,
    *,
    text_encoder: str | os.PathLike[str] | None = None,
    keep_original: bool = False,
    force: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> Download:
    """Fetch, check and convert released weights; do nothing where they are here.

    Args:
        name: one of `RELEASED_BY_NAME`.
        source: instead of the authors' file: a URL, a file, or the id of a repository of the Hub that holds the
            original file or the converted model. None: the mirror that `UNIREF_MIRROR` names, else Google Drive.
        text_encoder: folder or Hub id that the tokenizer is taken from; see `convert_checkpoint`.
        keep_original: keep the original file beside the converted model.
        force: replace a model that is here.
        progress: see `transfer.Progress`.
        tell: called with a line about each step.

    Raises:
        ValueError: no such name, or a source that is neither a URL, nor a file, nor a Hub id.
        TransferError: the file cannot be had.
        DownloadError: it is not the file that it should be, cannot be converted, or there is no room for it.
        MissingExtraError: a URL needs `gdown`.
    """
    weights = named("name", name, RELEASED_BY_NAME)
    say = tell or (lambda line: None)
    steps = _Steps(weights, text_encoder, keep_original, say, progress)
    with one_at_a_time(name):
        if is_here(name) and not force:
            known = known_checksum(name) or Checksum("", 0, "")
            return Download(name, model_folder(name), known.sha256, known.source, was_here=True)
        if source is None and (owner := os.environ.get(MIRROR, "").strip()):
            try:
                return steps.from_hub(f"{owner}/{name}")
            except (TransferError, DownloadError) as error:
                say(f"{error}; going on with the authors' file")
        given = weights.page if source is None else os.fspath(source)
        if not is_url(given) and not Path(given).expanduser().exists():
            if not hub_id(given):
                raise UsageError(f"`source` must be a URL, an existing file or a Hub id, OWNER/NAME, got {given!r}")
            return steps.from_hub(given)
        return steps.from_original(given)


class _WrongFileError(DownloadError):
    """The file is not what it should be."""


@dataclass(frozen=True)
class _Steps:
    """A download of weights, with what all of its steps know; see `download`."""

    weights: ReleasedWeights
    text_encoder: str | os.PathLike[str] | None
    keep_original: bool
    say: Callable[[str], None]
    progress: Progress | None

    def from_original(self, source: str) -> Download:
        """From a URL or a file in the authors' format."""
        # First what fails soonest.
        if is_url(source):
            require("gdown", "download", "downloading weights")
        self._check_room(is_url(source))
        self._check_tokenizer()
        target = original_file(self.weights.name)
        if not is_url(source):
            path = Path(source).expanduser()
            if path.is_dir():
                raise DownloadError(f"{path}: is a folder; its models load by its path, without a download")
            if self.keep_original:
                from_file(path, target, self.progress)
            return self._install(target if self.keep_original else path, path.name)
        if target.is_file():
            self.say(f"{target.name} is here from an earlier download")
        else:
            self.say(f"fetching {source}, about {self.weights.megabytes} MB or more")
            from_web(source, target, self.progress)
        try:
            made = self._install(target, source)
        except _WrongFileError:
            target.unlink(missing_ok=True)  # another attempt would find it and fail again
            raise
        if not self.keep_original:
            target.unlink()
        return made

    def _install(self, original: Path, source: str) -> Download:
        """Check, convert, remember."""
        from .converter import convert_checkpoint, load_original_checkpoint
        from .tensor_list import differences
        from .variants import CheckpointError

        self.say("checking")
        try:
            state = load_original_checkpoint(original)
        except CheckpointError as error:
            raise _WrongFileError(f"{source} is not the checkpoint of {self.weights.name}: {error}") from error
        if wrong := differences(state, self.weights.tensor_list):
            raise _WrongFileError(f"{source} is not the checkpoint of {self.weights.name}: {wrong}")
        del state
        with original.open("rb") as file:
            checksum = Checksum(hashlib.file_digest(file, "sha256").hexdigest(), original.stat().st_size, source)
        _compare(self.weights.name, checksum)
        self.say("converting")
        folder = model_folder(self.weights.name)
        try:
            convert_checkpoint(
                original,
                folder,
                text_encoder=self.text_encoder,
                overwrite=folder.exists(),
                provenance=Provenance(
                    "converted", source=source, source_sha256=checksum.sha256, released=self.weights.name
                ),
            )
        except CheckpointError as error:
            raise DownloadError(f"{self.weights.name}: {error}") from error
        remember_checksum(self.weights.name, checksum)
        return Download(
            self.weights.name, folder, checksum.sha256, source, original=original if self.keep_original else None
        )

    def from_hub(self, repo_id: str) -> Download:
        """From a repository with the converted model, or with one original file."""
        self.say(f"fetching {repo_id} from the Hub")
        fetched = from_hub(repo_id, [*_MODEL_FILES, *_ORIGINALS])
        if (fetched / "config.json").is_file():
            return self._from_mirror(repo_id, fetched)
        originals = [file for pattern in _ORIGINALS for file in fetched.rglob(pattern)]
        if len(originals) != 1:
            raise DownloadError(
                f"{repo_id} must hold a converted model or one original file (*.pth), got {len(originals)} files"
            )
        self._check_room(False)
        self._check_tokenizer()
        kept = original_file(self.weights.name) if self.keep_original else originals[0]
        if self.keep_original:
            from_file(originals[0], kept)
        return self._install(kept, repo_id)

    def _from_mirror(self, repo_id: str, fetched: Path) -> Download:
        from .model_check import model_differences

        refused = f"{repo_id} is no mirror of {self.weights.name}"
        try:
            provenance = read_provenance(fetched)
        except ValueError as error:
            raise DownloadError(f"{refused}: {error}") from error
        if provenance is None or provenance.released != self.weights.name:
            told = "nothing" if provenance is None else repr(provenance.released or provenance.source)
            raise DownloadError(f"{refused}: its provenance.json names {told}")
        if wrong := model_differences(fetched, self.weights.tensor_list):
            raise DownloadError(f"{refused}: {wrong}")
        size = sum(file.stat().st_size for file in fetched.glob("*.safetensors"))
        checksum = Checksum(provenance.source_sha256, size, repo_id)
        _compare(self.weights.name, checksum)
        folder = model_folder(self.weights.name)
        with whole_folder(folder) as made:
            # Links: the cache of the Hub keeps the bytes; hard ones stay whole whichever is removed.
            shutil.copytree(fetched, made, copy_function=_link_or_copy, dirs_exist_ok=True)
        remember_checksum(self.weights.name, checksum)
        return Download(self.weights.name, folder, checksum.sha256, repo_id)

    def _check_room(self, fetched: bool) -> None:
        """The original and the converted model lie side by side for a while."""
        needed = self.weights.megabytes * 1_000_000 * (2.2 if fetched else 1.1)
        place = home()
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if free < needed:
            raise DownloadError(
                f"{self.weights.name} needs about {needed / 1e9:.1f} GB in {home()}, where {free / 1e9:.1f} GB are "
                "free; UNIREF_HOME names another place"
            )

    def _check_tokenizer(self) -> None:
        """Before hundreds of megabytes are fetched for nothing."""
        from .converter import DEFAULT_TEXT_ENCODERS, NO_TEXT_ENCODER, fetch_tokenizer
        from .variants import CheckpointError

        if not self.weights.tasks or str(self.text_encoder) == NO_TEXT_ENCODER:
            return
        try:
            fetch_tokenizer(str(self.text_encoder) if self.text_encoder is not None else DEFAULT_TEXT_ENCODERS["bert"])
        except CheckpointError as error:
            raise DownloadError(f"{self.weights.name}: {error}") from error


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target)


def _compare(name: str, checksum: Checksum) -> None:
    before = known_checksum(name)
    if before is not None and before.sha256 != checksum.sha256:
        warnings.warn(
            f"{name}: the file from {checksum.source} is not the one of the earlier download from {before.source} "
            f"(SHA-256 {checksum.sha256[:12]}... instead of {before.sha256[:12]}...); it has the right "
            "tensors and is used",
            stacklevel=2,
        )
