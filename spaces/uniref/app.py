"""Starts the application of transformers_uniref as a Space."""

import os
from pathlib import Path

from transformers_uniref.frontends.app.server import serve
from transformers_uniref.frontends.app.settings import AppSettings

if __name__ == "__main__":
    root = os.environ.get("UNIREF_MODELS_ROOT")
    serve(
        AppSettings(
            host=os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0"),
            port=int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
            model=os.environ.get("UNIREF_MODEL") or None,
            models_root=Path(root) if root else None,
            hub=os.environ.get("UNIREF_HUB", "1") != "0",
        )
    )
