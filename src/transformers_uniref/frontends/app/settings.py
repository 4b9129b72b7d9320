"""How the application was started, and what follows from it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError


@dataclass(frozen=True)
class AppSettings:
    """The options of `uniref app`.

    Args:
        host: address to listen on.
        port: port to listen on; None for the first free one from 7860 on.
        share: ask Gradio for a public address (needs network).
        model: folder, Hub id or name of the model that is there at the start; None for the bundled default. It is the
            operator's choice and not restricted.
        device: see `choose_device`.
        dtype: see `load_model_and_processor`.
        models_root: folder whose subfolders users may choose as models.
        allow_folders: users may name any folder of this machine as a model.
        hub: users may name a model of the Hub.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False
    model: str | None = None
    device: str | None = None
    dtype: str | None = None
    models_root: Path | None = None
    allow_folders: bool = False
    hub: bool = True

    def __post_init__(self) -> None:
        if self.port is not None and not 1 <= self.port <= 65535:
            raise UserError(f"--port must be between 1 and 65535, got {self.port}")
        if self.models_root is not None and not self.models_root.is_dir():
            raise UserError(f"--models-root must be a folder: {self.models_root}")
        if self.allow_folders and (self.share or not self.is_local):
            raise UserError(
                "--allow-folders lets users read model folders anywhere on this machine, so it needs a local address: "
                f"leave out --share and --host {self.host}, or name one folder of models with --models-root"
            )

    @property
    def may_fetch(self) -> bool:
        """Whether users may fill this machine's disk with the authors' weights."""
        return self.is_local and not self.share

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
