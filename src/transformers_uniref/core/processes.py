"""The processes that share a piece of work, started by Accelerate's launcher or by torchrun."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from .errors import UsageError
from .optional import require

PATIENCE = timedelta(days=30)
"""How long a process waits for the others, who may have larger pictures; the usual limit is minutes."""

T = TypeVar("T")


@dataclass
class Processes:
    """Those that share the work. Without arguments: one process.

    Attributes:
        number: of this process, from 0.
        count: of all.
        device: the accelerator that is this process's own; None: it may choose.
        state: Accelerate's, by which they wait for each other.
    """

    number: int = 0
    count: int = 1
    device: Any = None
    state: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this one plans and sums up."""
        return self.number == 0

    def share(self, work: Sequence[T]) -> list[T]:
        """This process's part: every `count`-th piece."""
        return list(work[self.number :: self.count])

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.state is not None:
            self.state.wait_for_everyone()

    def from_main(self, value: Any) -> Any:
        """The main process's value, whatever the others give. Every process must call."""
        if self.state is None:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def close(self) -> None:
        """Leave the group."""
        if self.state is not None:
            self.state.destroy_process_group()


def launched_processes(extra: str, purpose: str) -> Processes:
    """The processes that a launcher started, found by its environment variables; else this one alone.

    Args:
        extra: of this package, which brings Accelerate.
        purpose: what is to be shared, for the message where Accelerate is missing.

    Raises:
        MissingExtraError: there are several, and Accelerate is not installed.
        ValueError: Accelerate does not find as many as were started.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched < 2:
        return Processes()
    accelerate = require("accelerate", extra, f"{purpose} with several processes")
    import torch

    # Without the argument Accelerate takes processes on CPUs for strangers.
    only_cpu = accelerate.utils.parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = accelerate.PartialState(cpu=only_cpu, timeout=PATIENCE)
    if state.num_processes != launched:
        raise UsageError(f"the launcher started {launched} processes, but Accelerate finds {state.num_processes}")
    return Processes(state.process_index, state.num_processes, state.device, state)
