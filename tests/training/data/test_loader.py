"""Loader processes end with the process that they read for."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("accelerate")

import torch  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from transformers_uniref.training.data.loader import (
    die_with_parent,
    loaders_end_with_failure,
    prepare_worker,
    worker_preparation,
)

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells a process that its parent died"
)


class Large(Dataset):
    """Items that fill the queue between the processes."""

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.zeros(1_000_000)

    def __len__(self) -> int:
        return 1000


def train_for_ever(workers, hidden) -> None:
    """A trainer that reads one item and is busy from then on."""
    loader = DataLoader(Large(), batch_size=None, num_workers=2, prefetch_factor=4, worker_init_fn=worker_preparation())
    iterator = iter(loader)
    next(iterator)
    workers.send([worker.pid for worker in iterator._workers])
    hidden.append(iterator)
    time.sleep(600)


def is_running(pid: int) -> bool:
    """Whether a process exists and is no zombie that waits for somebody to ask how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@linux
def test_a_trainer_killed_by_sigkill_leaves_no_loader_process():
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    trainer = context.Process(target=train_for_ever, args=(there, []))
    trainer.start()
    assert here.poll(60)
    workers = here.recv()
    assert len(workers) == 2 and all(map(is_running, workers))
    trainer.kill()
    trainer.join()
    # PyTorch's own watch looks every five seconds, and not where a process waits for its queue.
    until = time.monotonic() + 3
    while any(map(is_running, workers)) and time.monotonic() < until:
        time.sleep(0.02)
    left = [pid for pid in workers if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def ended_by(function) -> int:
    """The signal that ended a process which called `function`; 0 where it returned."""
    child = os.fork()
    if child == 0:
        function()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


@linux
def test_a_loader_process_whose_trainer_is_gone_already_ends_at_once():
    parent = os.getpid()
    assert ended_by(lambda: die_with_parent(parent)) == 0
    assert ended_by(lambda: die_with_parent(parent + 1)) == signal.SIGKILL


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    die_with_parent(os.getpid() + 1)


def test_only_the_main_thread_binds_loader_processes_to_its_end():
    found = []
    thread = threading.Thread(target=lambda: found.append(worker_preparation()))
    thread.start()
    thread.join()
    assert found[0].keywords == {"parent": 0} and worker_preparation().keywords == {"parent": os.getpid()}
    assert found[0].func is prepare_worker


class Failing(Large):
    def __getitem__(self, index: int) -> torch.Tensor:
        if index == 2:
            raise ValueError("damaged")
        return super().__getitem__(index)


@linux
def test_loader_processes_end_with_a_failure_although_its_traceback_keeps_the_loader():
    loader = DataLoader(Failing(), batch_size=None, num_workers=1, worker_init_fn=worker_preparation())
    kept = []
    before = set(multiprocessing.active_children())
    with pytest.raises(ValueError, match="damaged"), loaders_end_with_failure():
        kept.append(iter(loader))
        for _ in kept[0]:
            assert set(multiprocessing.active_children()) - before
    deadline = time.monotonic() + 30
    while set(multiprocessing.active_children()) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(multiprocessing.active_children()) - before
