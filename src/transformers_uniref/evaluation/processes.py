"""Sharing work over the processes that `accelerate launch` or torchrun started."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

from ..optional import require

Item = TypeVar("Item")

PATIENCE = timedelta(days=7)
"""How long a process that has finished its share waits for the others."""


class Processes:
    """This process among the others.

    Attributes:
        number: from 0; 0 is the main one.
        count: of all processes.
        device: where this one computes, as `torch.device`; None for one process, which may choose.
    """

    def __init__(self) -> None:
        self.number, self.count = 0, int(os.environ.get("WORLD_SIZE", "1"))
        self.device: Any = None
        if self.count > 1:
            accelerate = require("accelerate", "eval", "evaluating on several processes")
            import torch

            # Without the argument Accelerate takes processes on CPUs for strangers.
            only_cpu = (
                accelerate.utils.parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
            )
            state = accelerate.PartialState(cpu=only_cpu, timeout=PATIENCE)
            if state.num_processes != self.count:
                raise ValueError(
                    f"the launcher started {self.count} processes, but Accelerate finds {state.num_processes}"
                )
            self.number, self.count, self.device = state.process_index, state.num_processes, state.device
            self._state = state

    @property
    def is_main(self) -> bool:
        """Whether this process writes and prints what all have found."""
        return self.number == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """What of a list, which all processes know alike, is this one's to do."""
        return list(items[self.number :: self.count])

    def wait(self) -> None:
        """Wait for the other processes. Every process must call."""
        if self.count > 1:
            self._state.wait_for_everyone()

    def from_main(self, value: Any) -> Any:
        """The main process's value. Every process must call."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]
