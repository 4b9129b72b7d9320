"""Resumable checkpoints: written whole or not at all, the newest and the best kept."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import shutil
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from torch import Tensor

from ..core.atomic import replacing
from ..core.errors import KindError, one_line
from ..core.json_writing import to_json

STATE_FILE = "training_state.pt"
BEST_FILE = "best.json"
PREFIX = "step-"
PARTIAL = ".partial"


class CheckpointWriteError(OSError):
    """A checkpoint could not be written, for want of space or of another reason that the system gave."""


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies."""
    return folder / f"{PREFIX}{step:08d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of `folder`, oldest first."""
    found = folder.glob(f"{PREFIX}*")
    return sorted(path for path in found if (path / STATE_FILE).is_file() and path.suffix != PARTIAL)


def state_bytes(state: Any) -> int:
    """About how many bytes `state` takes on the disk: its tensors'."""
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(state_bytes(part) for part in state.values())
    if isinstance(state, (list, tuple)):
        return sum(state_bytes(part) for part in state)
    return 0


def save_checkpoint(folder: Path, step: int, state: dict[str, Any], keep: int, best_step: int | None = None) -> Path:
    """Write `state` as the checkpoint of `step`, then delete all but the `keep` newest and that of `best_step`.

    The file is written under another name, flushed to the disk and renamed when it is complete; renaming replaces an
    older checkpoint of the same step in one go. A run that is killed at any moment leaves no checkpoint that cannot be
    read, and none is deleted before the next one is safe.

    Raises:
        CheckpointWriteError: the system refused (disk full, quota, permission); what was begun is removed, and the
            older checkpoints are whole.
    """
    final = checkpoint_path(folder, step)
    try:
        _write_whole(folder, final, state)
        remove_remains(folder)
    except OSError as error:
        raise _explained(error, folder, final, state) from error
    checkpoints = list_checkpoints(folder)
    kept = set(checkpoints[-keep:])
    if best_step is not None:
        kept.add(checkpoint_path(folder, best_step))
    for old in checkpoints:
        if old not in kept:
            _remove_at_once(old)
    return final


def _write_whole(folder: Path, final: Path, state: dict[str, Any]) -> None:
    partial = final.with_name(final.name + PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write_state(partial / STATE_FILE, state)
        if final.is_dir():
            os.replace(partial / STATE_FILE, final / STATE_FILE)
            sync_folder(final)
        else:
            sync_folder(partial)
            partial.rename(final)
        sync_folder(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Watched(io.RawIOBase):
    """A file that remembers the system's error: `torch.save` turns it into one of its own."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        if self.error is None:
            self.file.flush()


def _write_state(path: Path, state: dict[str, Any]) -> None:
    file = open(path, "wb")  # noqa: SIM115, closed below, where closing may fail too
    watched = _Watched(file)
    try:
        try:
            torch.save(state, cast(Any, watched))
        except Exception:
            if watched.error is not None:
                raise watched.error from None
            raise
        file.flush()
        os.fsync(file.fileno())
    finally:
        # What could not be written is still in the buffer, and closing tries again.
        with contextlib.suppress(OSError):
            file.close()


def _explained(error: OSError, folder: Path, final: Path, state: dict[str, Any]) -> CheckpointWriteError:
    needed = state_bytes(state)
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        reason = f"{reason}; about {needed} bytes ({needed / 2**20:.1f} MiB) are needed"
        with contextlib.suppress(OSError):
            reason += f", {shutil.disk_usage(folder).free} are free"
    whole = list_checkpoints(folder)
    previous = f"{whole[-1].name} before it is whole, make room and resume" if whole else "there is none before it"
    explained = CheckpointWriteError(f"checkpoint {final.name} was not written to {folder} ({reason}); {previous}")
    explained.errno = error.errno
    return explained


def _remove_at_once(checkpoint: Path) -> None:
    """Delete a checkpoint such that it is either whole or not listed, at any moment."""
    partial = checkpoint.with_name(checkpoint.name + PARTIAL)
    with contextlib.suppress(OSError):
        checkpoint.rename(partial)
    shutil.rmtree(partial, ignore_errors=True)


def remove_remains(folder: Path) -> None:
    """Delete what killed runs left half written."""
    for partial in folder.glob(f"{PREFIX}*{PARTIAL}"):
        shutil.rmtree(partial, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU (tensors and plain values only)."""
    return torch.load(path / STATE_FILE, map_location="cpu", weights_only=True)


def load_newest_checkpoint(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Read the newest checkpoint of `folder`; one that a failing disk has damaged is passed over.

    Returns:
        the newest that can be read (None: there is none), and a line about each newer one that cannot.

    Raises:
        OSError: the system refuses to read.
    """
    unreadable: list[str] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            return load_checkpoint(path), unreadable
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            unreadable.append(f"{path} ({one_line(error)})")
    return None, unreadable


def require_plain(value: Any, where: str) -> None:
    """Refuse to save what `load_checkpoint` would refuse to read.

    Raises:
        TypeError: neither a tensor, a number, a text, None, nor a container of them.
    """
    if value is None or type(value) in (bool, int, float, str, bytes) or isinstance(value, Tensor):
        return
    if type(value) is dict:
        for name, part in value.items():
            require_plain(part, f"{where}[{name!r}]")
    elif type(value) in (list, tuple):
        for position, part in enumerate(value):
            require_plain(part, f"{where}[{position}]")
    else:
        raise KindError(f"{where}: got a {type(value).__name__}; a checkpoint holds tensors and plain values only")


def write_best(folder: Path, step: int, measure: str, value: float) -> None:
    """Say in `best.json` which checkpoint is the best so far."""
    record = {"checkpoint": checkpoint_path(folder, step).name, "step": step, "measure": measure, "value": value}
    with replacing(folder / BEST_FILE) as partial:
        partial.write_text(to_json(record) + "\n", encoding="utf-8")
