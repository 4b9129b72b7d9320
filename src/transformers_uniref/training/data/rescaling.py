"""A recipe's batch on the machine at hand: how many batches a step, how large, and in how many passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TypeVar

from ...core.errors import UsageError
from ..config.feed import DataOptions

Options = TypeVar("Options", bound=DataOptions)


@dataclasses.dataclass(frozen=True)
class Division:
    """How the images of an optimiser step are divided.

    Attributes:
        batches: of one dataset each.
        batch_size: images of each, over all processes.
        accumulation: passes in which a process works off its share of a batch.
    """

    batches: int
    batch_size: int
    accumulation: int

    def largest_pass(self, processes: int) -> int:
        """Most images that a process has in one pass."""
        return -(-self.batch_size // (processes * self.accumulation))

    def is_even(self, processes: int) -> bool:
        """Whether all passes of all processes are equally large."""
        return self.batch_size % (processes * self.accumulation) == 0


def divide(global_batch: int, batches: int, processes: int, micro_batch: int) -> Division:
    """Divide a step's images among processes and passes.

    Among the ways that give every process a share of every batch, those with equal shares come first; then those with
    the fewest passes, which are the fullest; then the one with the most batches. Without `micro_batch` the number of
    batches comes before that of the passes.

    Args:
        global_batch: images of a step.
        batches: at most so many batches, each of a dataset of its own draw.
        processes: that share each batch.
        micro_batch: most images in a pass of one process; 0: any number.

    Raises:
        ValueError: there is no such division.
    """
    if global_batch < processes:
        raise UsageError(
            f"global_batch: got {global_batch}, too few to share between {processes} processes; start at most "
            f"{global_batch} processes, or raise global_batch"
        )
    possible = list(_divisions(global_batch, batches, processes, micro_batch))
    if not possible:
        enough = -(-global_batch // processes)
        raise UsageError(
            f"micro_batch: got {micro_batch}; {processes} processes cannot share {global_batch} images in passes of at "
            f"most {micro_batch} without one going empty; accepted here: micro_batch={enough}, or a number of "
            f"processes that divides {global_batch}"
        )

    def order(way: Division) -> tuple[bool, int, int]:
        passes, fewer_batches = way.batches * way.accumulation, -way.batches
        first, second = (passes, fewer_batches) if micro_batch else (fewer_batches, passes)
        return not way.is_even(processes), first, second

    return min(possible, key=order)


def _divisions(global_batch: int, batches: int, processes: int, micro_batch: int) -> Iterator[Division]:
    for count in range(min(batches, global_batch), 0, -1):
        if global_batch % count:
            continue
        size = global_batch // count
        least = -(-size // (processes * micro_batch)) if micro_batch else 1
        for passes in range(least, size // processes + 1):
            yield Division(count, size, passes)


def fit_to_machine(config: Options, processes: int) -> tuple[Options, str]:
    """The run on so many processes: batch sizes, batches a step and accumulation from `config.global_batch`.

    Args:
        config: the run; returned as it is when it names no `global_batch`.
        processes: that take part.

    Returns:
        the run, and a line that says what was done (empty when nothing was).

    Raises:
        ValueError: the batch cannot be shared between so many processes; names the option.
    """
    if not config.global_batch:
        return config, ""
    wanted = config.mixture.batches
    way = divide(config.global_batch, wanted, processes, config.micro_batch)
    datasets = [dataclasses.replace(dataset, batch_size=way.batch_size) for dataset in config.datasets]
    mixture = dataclasses.replace(config.mixture, batches=way.batches)
    fitted = dataclasses.replace(config, datasets=datasets, mixture=mixture, accumulation=way.accumulation)
    return fitted, _sentence(config, way, processes)


def _sentence(config: DataOptions, way: Division, processes: int) -> str:
    most = way.largest_pass(processes)
    size = f"{most}" if way.is_even(processes) else f"{way.batch_size // (processes * way.accumulation)} or {most}"
    text = (
        f"global batch {config.global_batch} = {way.batches} batch(es) of {way.batch_size} images, each of one dataset;"
        f" {processes} process(es) take each in {way.accumulation} pass(es) of {size}"
    )
    if config.micro_batch:
        text += f" (micro_batch {config.micro_batch})"
    if way.batches != config.mixture.batches:
        text += (
            f"; fewer batches than the {config.mixture.batches} of the recipe, for every process to have a share of "
            "each and passes to be full"
        )
    return text
