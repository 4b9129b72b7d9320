"""A model's folder that appears whole or not at all, in the place of an older one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """Gives an empty folder to write to, and renames it to `output` at the end.

    When the block or the renaming raises, `output` is left as it was. Missing parent folders are made.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        folder = workshop / "model"  # not the temporary folder itself, which only its owner may enter
        folder.mkdir()
        yield folder
        old = workshop / "replaced"
        if output.exists():
            output.rename(old)
        try:
            folder.rename(output)
        except OSError:
            if old.exists():
                old.rename(output)
            raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
