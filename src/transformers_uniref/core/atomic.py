"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UsageError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary name beside `path` to write to, and renames it to `path` at the end.

    When the block raises, the temporary file is removed and `path` is left as it was. The temporary name keeps the
    suffix, since many writers choose their format by it. Missing parent folders are made.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem[:40]}-", suffix=target.suffix)
    os.close(descriptor)
    partial = Path(name)
    try:
        yield partial
        # mkstemp makes files that only their owner may read.
        partial.chmod(0o666 & ~_umask())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def alone(lock: Path, taken: str) -> Iterator[None]:
    """Holds a lock file, so that two processes do not write to one folder.

    Args:
        lock: the file; made, with its folder, if it is missing.
        taken: what the error says when another process holds it.

    Raises:
        ValueError: another process holds it.
    """
    from filelock import FileLock, Timeout

    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(taken) from error
    try:
        yield
    finally:
        held.release()


@contextmanager
def filling(folder: str | os.PathLike[str], names: list[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Gives a temporary folder beside `folder` to write to, and moves its content into `folder` at the end.

    When the block raises, the temporary folder is removed and `folder` is left as it was.

    Args:
        folder: made if it is missing; what else it holds stays.
        names: the files and folders that the block will write, so that a clash is known before the work begins.
        overwrite: replace files and folders of these names that are there already.

    Raises:
        FileExistsError: one of the names exists and `overwrite` is false, or `folder` is a file.
    """
    target = Path(folder)
    refuse_clashes(target, names, overwrite)
    with _staged(target.parent, f".{target.name[:40]}-", target) as staged:
        yield staged


def refuse_clashes(folder: Path, names: list[str], overwrite: bool) -> None:
    """Raises FileExistsError where results of these names would replace others unasked, or `folder` is a file."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"`output` must be a folder, got a file: {folder}")
    existing = [name for name in names if (folder / name).exists()]
    if existing and not overwrite:
        raise FileExistsError(
            f"`output` holds {', '.join(existing)} already: {folder}; name another folder or allow to overwrite."
        )


@contextmanager
def saving_into(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a temporary folder inside `folder` to write to, and moves its content into `folder` at the end.

    What the block writes takes the place of what has the same name; the rest stays. When the block raises, as it does
    when the disk is full, `folder` is left as it was. The temporary folder lies inside because `folder` may be a disk
    of its own, or its parent may not be writable.

    Raises:
        FileExistsError: `folder` is a file.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise FileExistsError(f"a folder is needed to save into, got a file: {target}")
    with _staged(target, ".saving-", target) as staged:
        yield staged


@contextmanager
def _staged(home: Path, prefix: str, target: Path) -> Iterator[Path]:
    """Gives a temporary folder in `home`, which is made if it is missing; what is in it moves into `target`."""
    missing = [path for path in (home, *home.parents) if not path.exists()]
    home.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=home, prefix=prefix))
    try:
        yield staged
        staged.chmod(0o777 & ~_umask())
        move_content(staged, target)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        with suppress(OSError):
            for path in missing:
                path.rmdir()
        raise


def move_content(source: Path, target: Path) -> None:
    """Moves what `source` holds into `target`, over what is there, and removes `source`.

    A file takes the place of an old one at once; an old folder stays until the new one is there.
    """
    if not target.exists():
        source.rename(target)
        return
    for entry in list(source.iterdir()):
        old = target / entry.name
        if not old.is_dir() or old.is_symlink():
            entry.replace(old)
            continue
        aside = source / f".old-{entry.name}"
        old.rename(aside)
        try:
            entry.rename(old)
        except BaseException:
            if not old.exists():
                aside.rename(old)
            raise
        shutil.rmtree(aside)
    source.rmdir()


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
