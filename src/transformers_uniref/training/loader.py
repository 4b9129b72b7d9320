"""Batches by step number, drawn ahead of time in worker processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

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
            self.collator([self.source.draw(scene) for scene in plan.scenes], plan.weight)
            for mixture in self.mixtures
            for plan in mixture.plan(step)
        ]

    def __len__(self) -> int:
        return self.mixtures[0].config.steps


def prepare_worker(worker: int) -> None:
    """Settings of a loader process."""
    # An interruption of the whole process group is answered by the training process, which still needs this step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Workers share the cores with the training itself; Rust's tokenizer threads do not survive a fork.
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def step_loader(dataset: StepDataset, first_step: int, workers: int, prefetch: int) -> DataLoader[Any]:
    """A loader of the steps `first_step`, ... in order; `workers` 0 draws in this process."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first_step, len(dataset)),
        num_workers=workers,
        prefetch_factor=prefetch if workers else None,
        worker_init_fn=prepare_worker,
    )
