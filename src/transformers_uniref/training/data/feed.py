"""What the loop knows of the data: batches by step, a vocabulary, and a state to resume from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from ..config.feed import DataOptions
from .collation import Batch, Collator
from .loader import StepDataset, step_loader
from .mixture import Mixture
from .samples import SampleSource


class DataFeed(Protocol):
    """The data of one process of a run."""

    @property
    def summary(self) -> str:
        """What a step consists of, for a person who starts a run."""
        ...

    def vocabulary(self) -> Sequence[str]:
        """The words that the sentences are made of; empty when a tokenizer is given from outside."""
        ...

    def steps(self, first_step: int, collator: Collator) -> Iterator[list[Batch]]:
        """The micro-batches of the optimiser steps `first_step`, `first_step` + 1, ... of this process."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Where the last step that `steps` gave out ends; empty when that follows from its number alone."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` ends; called before `steps`."""
        ...


class DrawnFeed(DataFeed):
    """Scenes that are drawn: each is a function of the seed and the step, so nothing has to be remembered.

    Args:
        process_index, num_processes: which share of every micro-batch is drawn.
    """

    def __init__(
        self, config: DataOptions, source: SampleSource, process_index: int = 0, num_processes: int = 1
    ) -> None:
        self.config = config
        self.source = source
        # With accumulation each process does the work of several, one after the other.
        parts = config.accumulation
        self.mixtures = [Mixture(config, process_index * parts + part, num_processes * parts) for part in range(parts)]

    @property
    def summary(self) -> str:
        return f"{self.mixtures[0].scenes_per_step} scenes a step"

    def vocabulary(self) -> Sequence[str]:
        return self.source.vocabulary()

    def steps(self, first_step: int, collator: Collator) -> Iterator[list[Batch]]:
        dataset = StepDataset(self.mixtures, self.source, collator)
        return iter(step_loader(dataset, first_step, self.config.loader_workers, self.config.prefetch))

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def build_feed(
    config: DataOptions, process_index: int = 0, num_processes: int = 1, reads_words: bool = True
) -> DataFeed:
    """The data that `config` asks for: its `datasets`, or else the world's scenes of its `micro_batches`.

    Without `reads_words` nobody asks for the words of datasets: the tokenizer is given.
    """
    if config.datasets:
        from .mixture_feed import MixtureFeed

        return MixtureFeed(config, process_index, num_processes, reads_words=reads_words)
    from .world_source import WorldSource

    return DrawnFeed(config, WorldSource(config.sampling, seed=config.seed), process_index, num_processes)
