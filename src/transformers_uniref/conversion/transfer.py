"""Bytes from elsewhere into a file: from Google Drive or any URL (by `gdown`), from the Hub, or from another file.

A transfer that breaks off leaves its part behind, and the next one goes on from there; only a whole file has the name
that was asked for.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from ..core.errors import one_line
from ..core.optional import require

Progress = Callable[[int, int | None], None]
"""Called now and then with the bytes that are there, and with all of them where that is known."""

RETRIES = 4
SECONDS_OF_SILENCE = 60.0
"""After which a connection counts as broken."""


class TransferError(OSError):
    """A file could not be had. The message says in one line what the other side said, and what to do."""


def is_url(source: str) -> bool:
    """Whether a source is an address of the web."""
    return source.startswith(("http://", "https://"))


def from_web(url: str, target: Path, progress: Progress | None = None) -> None:
    """A file of the web, or of Google Drive.

    Args:
        url: of the file; of Google Drive also the page that shows it.
        target: must not exist; its folder is made.
        progress: see `Progress`.

    Raises:
        TransferError: not to be had. What has come is kept, and the next call goes on from there.
        MissingExtraError: `gdown` is not installed.
    """
    gdown = require("gdown", "download", "downloading weights")
    target.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(2):
        try:
            gdown.download(
                url=url,
                output=str(target),
                quiet=True,
                use_cookies=False,
                resume=True,
                retries=RETRIES,
                timeout=SECONDS_OF_SILENCE,
                progress=progress,
            )
            break
        except Exception as error:
            # A server that cannot go on in the middle of a file has to begin anew.
            if attempt == 0 and "byte range" in str(error) and (parts := _parts(target)):
                for part in parts:
                    part.unlink()
                continue
            raise _explained(error, url, target) from error
    _refuse_web_page(target, url)


def from_file(source: Path, target: Path, progress: Progress | None = None) -> None:
    """A copy of a file of this machine, in a folder that is made; written under another name first.

    `progress` is told once, at the end.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.copying")
    try:
        shutil.copyfile(source, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    if progress is not None:
        size = target.stat().st_size
        progress(size, size)


def from_hub(repo_id: str, patterns: list[str]) -> Path:
    """The folder in the cache of the Hub that holds those of a repository's files that fit the patterns.

    Raises:
        TransferError: no such repository, or the Hub cannot be reached.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    from ..core.hub_reach import reach_options, why_not_here

    try:
        return Path(snapshot_download(repo_id, allow_patterns=patterns, **reach_options(repo_id)))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = why_not_here(repo_id) or one_line(error)
        raise TransferError(f"{repo_id} cannot be had from the Hub: {reason}") from error


def _parts(target: Path) -> list[Path]:
    return list(target.parent.glob(f"{target.name}*.part"))


def _refuse_web_page(path: Path, url: str) -> None:
    """A login or an error page with the status of a file is not kept."""
    with path.open("rb") as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        path.unlink()
        raise TransferError(f"{url} gave a web page instead of a file: it may want a login, or the file was moved")


_CAUSES = (
    (r"too many users|quota", "Google Drive lends this file no more for now (its quota is used up): try again later"),
    (r"\b404\b", "there is no such file"),
    (r"\b401\b|\b403\b", "the file may not be read by everyone"),
    (
        r"incomplete|broken|reset|aborted|timed out|byte range",
        "the transfer broke off; the same command goes on from there",
    ),
    (r"no space left|errno 28", "the disk is full"),
    (r"public link", "Google Drive gave a page instead of the file: it may want a login, or the file was moved"),
    (r"resolve|connection|unreachable|refused|proxy", "the server cannot be reached"),
)


def _explained(error: Exception, url: str, target: Path) -> TransferError:
    said = one_line(error)
    if "public link" in said:
        said = f"{_status(url)} {said}"  # gdown has not told what came with the page
    cause = next((cause for pattern, cause in _CAUSES if re.search(pattern, said, re.IGNORECASE)), said)
    here = sum(part.stat().st_size for part in _parts(target))
    kept = f"; {here / 1e6:.0f} MB are kept" if here else ""
    return TransferError(f"{url}: {cause}{kept}")


def _status(url: str) -> str:
    """The number with which a server answers."""
    requests = require("requests", "download", "downloading weights")
    try:
        with requests.get(url, stream=True, timeout=SECONDS_OF_SILENCE) as answer:
            return str(answer.status_code)
    except requests.exceptions.RequestException:
        return ""
