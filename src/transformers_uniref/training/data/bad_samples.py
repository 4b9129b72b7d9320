"""Samples that cannot be read: reported by their id, replaced up to a budget, and then an error.

A worker process that dies cannot report anything, so it notes down beforehand what it is about to read.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass

import torch

from ...core.errors import FailureError

logger = logging.getLogger(__name__)

_NOTE_BYTES = 512
_PIDS = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)")


class BadSampleError(FailureError):
    """More samples could not be read than `mixture.max_bad_samples` allows."""


@dataclass(frozen=True)
class Fault:
    """A sample that could not be read, and why."""

    sample_id: str
    reason: str


class BadSamples:
    """The samples of a run that were found bad, and how many more are tolerated.

    Args:
        budget: different bad samples that are replaced before the run ends.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.found: dict[str, str] = {}

    def report(self, fault: Fault) -> None:
        """Log a fault that was not known yet.

        Raises:
            BadSampleError: it is one too many.
        """
        if fault.sample_id in self.found:
            return
        self.found[fault.sample_id] = fault.reason
        if len(self.found) > self.budget:
            raise BadSampleError(
                f"sample {fault.sample_id} cannot be used: {fault.reason}; {len(self.found)} bad sample(s) so far "
                f"({', '.join(list(self.found)[-8:])}), mixture.max_bad_samples allows {self.budget}"
            )
        logger.warning(
            "sample %s cannot be used and is replaced: %s (%d of at most %d)",
            fault.sample_id,
            fault.reason,
            len(self.found),
            self.budget,
        )


class WorkNotes:
    """What each loader process is reading just now, kept in memory that outlives it.

    Args:
        workers: number of loader processes; 0 reads in this one.
    """

    def __init__(self, workers: int) -> None:
        self._notes = torch.zeros(max(1, workers), _NOTE_BYTES, dtype=torch.uint8).share_memory_()

    def write(self, worker: int, sample_id: str) -> None:
        """Note that this process, number `worker`, begins to read `sample_id`; "" when it is done."""
        text = f"{os.getpid()} {sample_id}".encode()[: _NOTE_BYTES - 1]
        self._notes[worker].zero_()
        self._notes[worker, : len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)

    def read(self, pid: int) -> str:
        """What process `pid` was reading; "" when nothing is known."""
        for note in self._notes:
            text = bytes(note.tolist()).rstrip(b"\0").decode(errors="replace")
            number, _, sample_id = text.partition(" ")
            if number == str(pid):
                return sample_id
        return ""


def dead_workers(error: RuntimeError) -> list[int]:
    """The process ids that PyTorch's loader says are dead; none when `error` is something else."""
    found = _PIDS.search(str(error))
    return [int(pid) for pid in found.group(1).replace(",", " ").split()] if found else []
