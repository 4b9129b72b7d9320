"""A run that takes a second, and a process that starts such runs without importing everything again each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from places import environment

VERY_TINY = (
    "steps=6",
    "log_every=2",
    "checkpoint.every=1",
    "model.value_encoder_widths=[8, 8, 16, 16]",
    "model.fusion_heads=2",
    "model.fusion_head_dim=8",
    "model.ffn_dim=16",
    "model.num_queries=4",
    "text.hidden_size=16",
    "text.intermediate_size=16",
    "backbone.embedding_size=8",
    "backbone.hidden_sizes=[8, 16, 16, 16]",
    "micro_batches=[{scenes: {ris: 1}}, {scenes: {fss: 1}, every: 2}]",
)
"""Overrides of `world-smoke`. Dropout and the seeds of steps are part of what must resume exactly."""


TINY = (
    "steps=6",
    "log_every=3",
    "sampling.predicted_share=0.5",
    "micro_batches=[{scenes: {ris: 2}}, {scenes: {fss: 1, vos: 1}}, {scenes: {rvos: 1}, every: 2}]",
)


def tiny(*overrides: str):
    """The configuration of a run of a few steps over all tasks."""
    from transformers_uniref.training.config.training import load_config

    return load_config("world-smoke", [*TINY, *overrides])


def very_tiny(*overrides: str):
    from transformers_uniref.training.config.training import load_config

    return load_config("world-smoke", [*VERY_TINY, "model.text_dropout=0.1", *overrides])


class RunServer:
    """Forks a training run from a process in which everything is imported, and tells how it ended."""

    def __init__(self) -> None:
        self.duration = 0.0
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"

    def start(self, output: Path, resume: bool = False, overrides: tuple[str, ...] = (), die_at: int = 0) -> int:
        """Begin a run; its process id. With `die_at` it kills itself at its n-th operation on files while saving."""
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {"output": str(output), "resume": resume, "overrides": overrides, "die_at": die_at}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def wait(self) -> int:
        """How the run ended: its exit code, or minus the number of the signal that killed it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        assert self.process.stdout.readline() == "ended\n"
        self.process.stdin.write("status\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def run(self, output: Path, **options) -> int:
        """Start a run and wait for its end."""
        self.start(output, **options)
        return self.wait()

    def run_and_kill(self, output: Path, after: float, number: int = signal.SIGKILL, **options) -> int:
        """Start a run, send it a signal `after` that many seconds, and wait for its end."""
        started = self.start(output, **options)
        time.sleep(after)
        os.kill(started, number)
        return self.wait()

    def close(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.wait()


def _die_at_operation(number: int) -> None:
    """Count what touches files while a checkpoint is saved, and kill this process at the given operation."""
    from transformers_uniref.training import checkpointing

    count = 0

    def counted(function):
        def counting(*arguments, **options):
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return counting

    checkpointing._Watched.write = counted(checkpointing._Watched.write)
    for name in ("fsync", "rename", "replace", "unlink", "rmdir", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))


def _serve() -> None:
    from transformers_uniref.frontends.cli.main import main

    very_tiny()
    import transformers_uniref.training.loop  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            output = Path(order["output"])
            report = os.open(output.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(report, 2)
            os.dup2(report, 1)
            if order["die_at"]:
                _die_at_operation(order["die_at"])
            overrides = [*VERY_TINY, "model.text_dropout=0.1", *order["overrides"]]
            arguments = ["train", "world-smoke", "--output", str(output)]
            arguments += [part for override in overrides for part in ("--override", override)]
            code = 1
            try:
                code = main([*arguments, *(["--resume"] if order["resume"] else [])])
            finally:
                os._exit(code)
        print(child, flush=True)
        # Only the exit is awaited here; the id is given free when its status is read below, after the last signal.
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        print("ended", flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
