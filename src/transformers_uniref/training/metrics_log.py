"""Numbers of a run: averaged between two log lines, written as JSONL, shown as one line.

The JSON lines are no tracker of Accelerate: they are written with no tracker chosen, have records of several kinds, and
lose those that a resumed run makes again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, TextIO

import torch

from ..core.atomic import replacing
from ..core.json_writing import to_json


class RunningMeans:
    """Means of named values since the last `pop`."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, name: str, value: float, count: float = 1.0) -> None:
        """Add a mean `value` over `count` items."""
        entry = self._sums[name]
        entry[0] += value * count
        entry[1] += count

    def take(self) -> dict[str, list[float]]:
        """The sums and counts by name, for `absorb`, and start over."""
        sums = dict(self._sums)
        self._sums.clear()
        return sums

    def absorb(self, sums: dict[str, list[float]]) -> None:
        """Add what another process has taken."""
        for name, (total, count) in sums.items():
            entry = self._sums[name]
            entry[0] += total
            entry[1] += count

    def pop(self) -> dict[str, float]:
        """The means, and start over."""
        return {name: total / count for name, (total, count) in self.take().items() if count}


def format_duration(seconds: float) -> str:
    """Hours, minutes and seconds as 1:02:03."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{second:02d}"


def memory_in_use(device: torch.device) -> float:
    """MiB: the most that a GPU's tensors took so far; on a CPU what this process occupies now (where that is known)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError):
        return 0.0


def forget_after(path: Path, step: int) -> None:
    """Remove the records of `path` after `step`, and a torn last line: a resumed run makes these steps again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if int(json.loads(line)["step"]) <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    with replacing(path) as partial:
        partial.write_text("".join(kept), encoding="utf-8")


class MetricsLog:
    """Appends records to `path` (JSON lines) and reports progress on `stream` (standard error).

    On a terminal the progress is one line that is redrawn; in a file it is one line a log interval.
    """

    def __init__(self, path: Path | None, total_steps: int, first_step: int = 0, stream: TextIO | None = None) -> None:
        self.path = path
        self.total_steps = total_steps
        self.first_step = first_step
        self.stream = stream or sys.stderr
        self.started = time.monotonic()
        self._open_line = False
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def record(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Append one record {"kind", "step", "seconds", ...values}."""
        if self.path is None:
            return
        line = {"kind": kind, "step": step, "seconds": round(time.monotonic() - self.started, 2)}
        line |= {name: round(v, 5) if isinstance(v, float) else v for name, v in values.items()}
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(to_json(line) + "\n")

    def progress(self, step: int, text: str, final: bool = False) -> None:
        """Show `step` of the total, the time left, and `text`. `final` keeps the line on a terminal."""
        if self.path is None:
            return
        done = step - self.first_step
        elapsed = time.monotonic() - self.started
        left = elapsed / done * (self.total_steps - step) if done else 0.0
        line = f"step {step}/{self.total_steps} [{format_duration(elapsed)}<{format_duration(left)}] {text}"
        if self.stream.isatty():
            self.stream.write("\r\x1b[K" + line)
            self._open_line = True
            if final:
                self._end_line()
        elif final:
            self.stream.write(line + "\n")
        self.stream.flush()

    def message(self, text: str) -> None:
        """A line of its own."""
        if self.path is None:
            return
        self._end_line()
        self.stream.write(text + "\n")
        self.stream.flush()

    def _end_line(self) -> None:
        if self._open_line:
            self.stream.write("\n")
            self._open_line = False
