"""The application's own folder: uploads, results and examples; nothing outside is read or served."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image


class Workspace:
    """A temporary folder, used as a context, that goes when the application ends."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="uniref-app-")).resolve()
        self.gradio = self.root / "gradio"
        self.gradio.mkdir()

    def new_folder(self, kind: str = "results") -> Path:
        """A folder with a name that nobody can guess."""
        parent = self.root / kind
        parent.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=parent))

    def shown(self, picture: np.ndarray, name: str) -> str:
        """A file of its own for a picture that the page shows: uint8 (H, W, 3), written as the ending of `name` says.

        Given pixels, Gradio writes them in place under a name made of their content, even while it sends an equal
        picture, which can break off then. These files are swept as Gradio's own are.
        """
        file = Path(tempfile.mkdtemp(dir=self.gradio)) / name
        Image.fromarray(picture).save(file)
        return str(file)

    def __enter__(self) -> Workspace:
        # Gradio keeps what users send, and what they are sent, in the folder of this name, and serves no other.
        self._before = os.environ.get("GRADIO_TEMP_DIR")
        os.environ["GRADIO_TEMP_DIR"] = str(self.gradio)
        return self

    def __exit__(self, *raised: object) -> None:
        if self._before is None:
            os.environ.pop("GRADIO_TEMP_DIR", None)
        else:
            os.environ["GRADIO_TEMP_DIR"] = self._before
        shutil.rmtree(self.root, ignore_errors=True)
