"""The stand-in for the Hub, with this process or a new one pointed at it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import huggingface_hub.constants
import pytest
import transformers.utils.hub

from hub_server import HubServer
from places import SOURCE

TOKEN = "hf_StandInTokenOfTheTests0123456789"


@contextmanager
def hub_for_this_process(home: Path) -> Iterator[HubServer]:
    """A server that `huggingface_hub` and Transformers use here, with a token, a cache in `home`, and no Xet."""
    constants = huggingface_hub.constants
    with HubServer(TOKEN) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setattr(constants, "ENDPOINT", hub.url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
        patch.setattr(transformers.utils.hub, "HF_MODULES_CACHE", str(home / "modules"))
        # Transformers keeps a client with the address that was valid at its first use, and asks in vain for minutes.
        patch.setattr(transformers.utils.hub, "_hf_api", None)
        yield hub


def run_python(
    code: str, home: Path, hub: HubServer | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs code in a new process whose Hub is the server, or that is offline, with its cache in `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    settings = {"HF_HOME": str(home), "HF_HUB_CACHE": str(home / "hub"), "PYTHONPATH": str(SOURCE)}
    if hub is None:
        settings["HF_HUB_OFFLINE"] = "1"
    else:
        settings |= {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **settings, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        cwd=home,
        check=False,
    )
