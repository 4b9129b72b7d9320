"""Before a build: runs the pages whose pictures are missing or out of date, and keeps what their code draws.

    python docs/_tools/made_pictures.py [PAGE ...]

A page that shows `images/made/NAME` has a block that calls `page_examples.show(NAME, ...)`. So what a page shows is
what its own code computed with the bundled weights. Pictures are made again when the page, these tools or the weights
change.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

TOOLS = Path(__file__).parent
DOCS = TOOLS.parent
FOLDER = DOCS / "images" / "made"
SHOWN = re.compile(r"images/made/([\w.-]+)")


def pages_with_pictures() -> list[Path]:
    """The pages that show pictures made here."""
    return [page for page in sorted(DOCS.rglob("*.md")) if SHOWN.search(page.read_text())]


def make(page: Path, force: bool = False) -> int:
    """Runs a page's code and keeps its pictures, if they are out of date or `force` says so; returns the blocks run.

    Raises:
        PageError: a block fails.
        FileNotFoundError: no block makes a picture that the page shows.
    """
    import page_examples
    from page_blocks import run_page

    names = set(SHOWN.findall(page.read_text()))
    stamp = FOLDER / f"{page.stem}.stamp"
    digest = _digest(page)
    if not force and stamp.is_file() and stamp.read_text() == digest and all((FOLDER / n).is_file() for n in names):
        return 0
    with tempfile.TemporaryDirectory() as folder:
        page_examples.fill(Path(folder))
        count = run_page(page, Path(folder))
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            made = Path(folder) / page_examples.MADE / name
            if not made.is_file():
                raise FileNotFoundError(f"{page.name} shows images/made/{name}, and no block of it makes that picture.")
            _move(made, FOLDER / name)
        if names:
            (Path(folder) / "stamp").write_text(digest)
            _move(Path(folder) / "stamp", stamp)
    return count


def _digest(page: Path) -> str:
    from transformers_uniref.core.families import DEFAULT_CHECKPOINT

    digest = hashlib.sha256(page.read_bytes())
    for file in (*sorted(TOOLS.glob("page_*.py")), *sorted(DEFAULT_CHECKPOINT.glob("*.safetensors"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _move(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, partial)
    partial.replace(target)


def _make_all(app: Sphinx) -> None:
    for page in pages_with_pictures():
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # what the code prints is not about the build
            count = make(page)
        if count:
            logging.getLogger(__name__).info("made the pictures of %s", page.name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _make_all)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for page_name in sys.argv[1:] or pages_with_pictures():
        print(f"{page_name}: {make(Path(page_name).resolve(), force=True)} blocks")
