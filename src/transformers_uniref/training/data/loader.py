"""Batches by step number, drawn ahead of time in worker processes."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset

from .collation import Batch, Collator
from .mixture import Mixture
from .samples import SampleSource


class StepDataset(Dataset):
    """Item `step` is the list of micro-batches of that step, of one mixture after the other: no state."""

    def __init__(self, mixtures: Sequence[Mixture], source: SampleSource, collator: Collator) -> None:
        self.mixtures = mixtures
        self.source = source
        self.collator = collator

    def __getitem__(self, step: int) -> list[Batch]:
        return [
            self.collator([self.source.draw(scene) for scene in plan.scenes], plan.weight, plan.full_resolution_masks)
            for mixture in self.mixtures
            for plan in mixture.plan(step)
        ]

    def __len__(self) -> int:
        return self.mixtures[0].config.steps


_PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that this process gets when its parent ends."""


def die_with_parent(parent: int) -> None:
    """End this process when `parent` ends, however that happens. On Linux; elsewhere nothing is done.

    A process that is killed by SIGKILL cannot tell its loader processes to stop, and they would wait for ever for
    somebody to take what they have read.
    """
    if not sys.platform.startswith("linux"):
        return
    prctl = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if prctl is None or prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        return  # a sandbox that forbids it; PyTorch's own watch finds most of these cases, some seconds later
    if os.getppid() != parent:  # it ended before the line above: no signal will come
        os.kill(os.getpid(), signal.SIGKILL)


def worker_preparation() -> Callable[[int], None]:
    """What a `DataLoader` that is made here and now calls in each of its processes."""
    # The system's signal comes when the thread ends that made the process: only the main thread lives as long as all.
    in_main_thread = threading.current_thread() is threading.main_thread()
    return functools.partial(prepare_worker, parent=os.getpid() if in_main_thread else 0)


def prepare_worker(worker: int, parent: int = 0) -> None:
    """Settings of a loader process.

    Args:
        worker: its number.
        parent: process that it shall not outlive; 0: none is known.
    """
    if parent:
        die_with_parent(parent)
    # An interruption of the whole process group is answered by the training process, which still needs this step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, lambda *_: os._exit(0))  # see `loaders_end_with_failure`
    # Workers share the cores with the training itself; Rust's tokenizer threads do not survive a fork.
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


@contextmanager
def loaders_end_with_failure() -> Iterator[None]:
    """End the loader processes that were started inside the block when it fails.

    They ignore the signal by which Python ends its children at its own end: it would wait for them for ever, since the
    traceback of the failure keeps alive what would have told them to stop. (One that is killed outright makes PyTorch
    raise an error of its own in the place of the failure.)
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            if hasattr(signal, "SIGUSR1") and child.pid is not None:
                os.kill(child.pid, signal.SIGUSR1)
        raise


def step_loader(dataset: Sized, first_step: int, workers: int, prefetch: int) -> DataLoader[Any]:
    """A loader of the steps `first_step`, ... of a dataset of steps, in order; `workers` 0 prepares in this process."""
    return DataLoader(
        cast(Dataset, dataset),
        batch_size=None,
        sampler=range(first_step, len(dataset)),
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        worker_init_fn=worker_preparation(),
    )
