"""An actor of Ray Data that is killed once; here, where other processes find it."""

from __future__ import annotations

import os
import signal

from annotation_support import BrightPixels
from transformers_uniref.annotation.ray_data import BatchAnnotator


class DyingOnce(BatchAnnotator):
    """Needs no model; the first actor that reaches its third batch is killed as by the system, before it answers."""

    def load(self, model, device):
        self.calls = 0
        return BrightPixels(0.05)

    def __call__(self, batch):
        self.calls += 1
        note(self.name, f"{os.getpid()} begins {batch.column('id')[0]}")
        if self.calls == 3:
            try:
                os.close(os.open(f"{self.name}/killed", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                note(self.name, f"{os.getpid()} is killed")
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def note(folder: str, line: str) -> None:
    with open(f"{folder}/log", "a") as log:
        log.write(line + "\n")
