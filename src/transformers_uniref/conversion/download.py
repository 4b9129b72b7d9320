"""`download`: the authors' weights by name, as a folder that Transformers loads.

A file is fetched, checked against the list of tensors that it has to hold, converted, and renamed to its place; a
folder that Transformers loads, from a mirror on the Hub, only needs the check.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
from ..core.near_names import did_you_mean
from ..core.optional import require
from ..core.released_models import RELEASED_BY_NAME, ReleasedWeights
from .transfer import Progress, TransferError, from_file, from_hub, from_web, is_url

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


def released_weights(name: str) -> ReleasedWeights:
    """The released weights of a name.

    Raises:
        ValueError: there are none; the message lists the names.
    """
    if name not in RELEASED_BY_NAME:
        raise ValueError(
            f"`name` must be one of {', '.join(RELEASED_BY_NAME)}, got {name!r}{did_you_mean(name, RELEASED_BY_NAME)}"
        )
    return RELEASED_BY_NAME[name]


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
    weights = released_weights(name)
    say = tell or (lambda line: None)
    with one_at_a_time(name):
        if is_here(name) and not force:
            known = known_checksum(name)
            return Download(
                name, model_folder(name), known.sha256 if known else "", known.source if known else "", True
            )
        if source is None and (owner := os.environ.get(MIRROR, "").strip()):
            try:
                return _from_hub(weights, f"{owner}/{name}", text_encoder, keep_original, say)
            except (TransferError, DownloadError) as error:
                say(f"{error}; going on with the authors' file")
        given = weights.page if source is None else os.fspath(source)
        if not is_url(given) and not Path(given).expanduser().exists():
            if not _looks_like_hub_id(given):
                raise ValueError(f"`source` must be a URL, an existing file or a Hub id, OWNER/NAME, got {given!r}")
            return _from_hub(weights, given, text_encoder, keep_original, say)
        return _from_original(weights, given, text_encoder, keep_original, say, progress)


def _from_original(
    weights: ReleasedWeights,
    source: str,
    text_encoder: str | os.PathLike[str] | None,
    keep_original: bool,
    say: Callable[[str], None],
    progress: Progress | None,
) -> Download:
    """From a URL or a file in the authors' format."""
    # First what fails soonest.
    if is_url(source):
        require("gdown", "download", "downloading weights")
    _check_room(weights, is_url(source))
    _check_tokenizer(weights, text_encoder)
    target = original_file(weights.name)
    if not is_url(source):
        path = Path(source).expanduser()
        if path.is_dir():
            raise DownloadError(f"{path}: is a folder; its models load by its path, without a download")
        if keep_original:
            from_file(path, target, progress)
        return _install(weights, target if keep_original else path, path.name, text_encoder, keep_original, say)
    if target.is_file():
        say(f"{target.name} is here from an earlier download")
    else:
        say(f"fetching {source}, about {weights.megabytes} MB or more")
        from_web(source, target, progress)
    try:
        made = _install(weights, target, source, text_encoder, keep_original, say)
    except DownloadError as error:
        if isinstance(error, _WrongFileError):
            target.unlink(missing_ok=True)  # another attempt would find it and fail again
        raise
    if not keep_original:
        target.unlink()
    return made


class _WrongFileError(DownloadError):
    """The file is not what it should be."""


def _install(
    weights: ReleasedWeights,
    original: Path,
    source: str,
    text_encoder: str | os.PathLike[str] | None,
    kept: bool,
    say: Callable[[str], None],
) -> Download:
    """Check, convert, remember."""
    from ..core.provenance import Provenance
    from .converter import convert_checkpoint, load_original_checkpoint
    from .tensor_list import differences
    from .variants import CheckpointError

    say("checking")
    try:
        state = load_original_checkpoint(original)
    except CheckpointError as error:
        raise _WrongFileError(f"{source} is not the checkpoint of {weights.name}: {error}") from error
    if wrong := differences(state, weights.tensor_list):
        raise _WrongFileError(f"{source} is not the checkpoint of {weights.name}: {wrong}")
    del state
    with original.open("rb") as file:
        checksum = Checksum(hashlib.file_digest(file, "sha256").hexdigest(), original.stat().st_size, source)
    _compare(weights.name, checksum)
    say("converting")
    folder = model_folder(weights.name)
    try:
        convert_checkpoint(
            original,
            folder,
            text_encoder=text_encoder,
            overwrite=folder.exists(),
            provenance=Provenance("converted", source=source, source_sha256=checksum.sha256, released=weights.name),
        )
    except CheckpointError as error:
        raise DownloadError(f"{weights.name}: {error}") from error
    remember_checksum(weights.name, checksum)
    return Download(weights.name, folder, checksum.sha256, source, original=original if kept else None)


def _from_hub(
    weights: ReleasedWeights,
    repo_id: str,
    text_encoder: str | os.PathLike[str] | None,
    keep_original: bool,
    say: Callable[[str], None],
) -> Download:
    """From a repository with the converted model, or with one original file."""
    say(f"fetching {repo_id} from the Hub")
    fetched = from_hub(repo_id, [*_MODEL_FILES, *_ORIGINALS])
    if (fetched / "config.json").is_file():
        return _from_mirror(weights, repo_id, fetched)
    originals = [file for pattern in _ORIGINALS for file in fetched.rglob(pattern)]
    if len(originals) != 1:
        raise DownloadError(
            f"{repo_id} must hold a converted model or one original file (*.pth), got {len(originals)} files"
        )
    _check_room(weights, False)
    _check_tokenizer(weights, text_encoder)
    kept = original_file(weights.name) if keep_original else originals[0]
    if keep_original:
        from_file(originals[0], kept)
    return _install(weights, kept, repo_id, text_encoder, keep_original, say)


def _from_mirror(weights: ReleasedWeights, repo_id: str, fetched: Path) -> Download:
    from ..core.provenance import read_provenance
    from .model_check import model_differences

    try:
        provenance = read_provenance(fetched)
    except ValueError as error:
        raise DownloadError(f"{repo_id} is no mirror of {weights.name}: {error}") from error
    if provenance is None or provenance.released != weights.name:
        told = "nothing" if provenance is None else repr(provenance.released or provenance.source)
        raise DownloadError(f"{repo_id} is no mirror of {weights.name}: its provenance.json names {told}")
    if wrong := model_differences(fetched, weights.tensor_list):
        raise DownloadError(f"{repo_id} is no mirror of {weights.name}: {wrong}")
    size = sum(file.stat().st_size for file in fetched.glob("*.safetensors"))
    checksum = Checksum(provenance.source_sha256, size, repo_id)
    _compare(weights.name, checksum)
    folder = model_folder(weights.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{weights.name}.", dir=folder.parent))
    try:
        # Links: the cache of the Hub keeps the bytes, and removing either leaves the other whole where links are hard.
        shutil.copytree(fetched, workshop / "model", copy_function=_link_or_copy)
        if folder.exists():
            folder.rename(workshop / "replaced")
        (workshop / "model").rename(folder)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    remember_checksum(weights.name, checksum)
    return Download(weights.name, folder, checksum.sha256, repo_id)


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


def _check_room(weights: ReleasedWeights, fetched: bool) -> None:
    """The original and the converted model lie side by side for a while."""
    needed = weights.megabytes * 1_000_000 * (2.2 if fetched else 1.1)
    place = home()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise DownloadError(
            f"{weights.name} needs about {needed / 1e9:.1f} GB in {home()}, where {free / 1e9:.1f} GB are free; "
            "UNIREF_HOME names another place"
        )


def _check_tokenizer(weights: ReleasedWeights, text_encoder: str | os.PathLike[str] | None) -> None:
    """Before hundreds of megabytes are fetched for nothing."""
    from .converter import DEFAULT_TEXT_ENCODERS, NO_TEXT_ENCODER, fetch_tokenizer
    from .variants import CheckpointError

    if not weights.tasks or str(text_encoder) == NO_TEXT_ENCODER:
        return
    try:
        fetch_tokenizer(str(text_encoder) if text_encoder is not None else DEFAULT_TEXT_ENCODERS["bert"])
    except CheckpointError as error:
        raise DownloadError(f"{weights.name}: {error}") from error


def _looks_like_hub_id(text: str) -> bool:
    from ..core.provenance import hub_id

    return bool(hub_id(text))
