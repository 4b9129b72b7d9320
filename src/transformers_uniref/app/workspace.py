"""The application's own folder: uploads, results and examples; nothing outside is read or served."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path


class Workspace:
    """A temporary folder that goes when the application ends.

    ```python
    with Workspace() as workspace:
        folder = workspace.new_folder()
    ```
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="uniref-app-")).resolve()
        self.gradio = self.root / "gradio"
        self.gradio.mkdir()

    def new_folder(self, kind: str = "results") -> Path:
        """A folder with a name that nobody can guess."""
        parent = self.root / kind
        parent.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(dir=parent))

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
