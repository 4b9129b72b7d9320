"""The data of a run that names datasets: which batch of which dataset comes at which step, and its samples.

For map-style datasets everything is a function of (seed, step): any loader process can prepare any step, any number of
processes shares the same batches, and a resumed run needs no state. Streams remember their position.
"""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch.utils.data import Dataset, get_worker_info

from ...core.errors import UsageError
from ...datasets.schema import Record
from ..config.data import WORLD_SOURCES, check_shares
from ..config.feed import DataOptions
from .bad_samples import BadSampleError, BadSamples, Fault, WorkNotes, dead_workers
from .collation import Batch, Collator
from .dataset_source import IndexedDataset, open_dataset
from .held_out import HeldOut
from .loader import step_loader
from .sample_makers import BatchKind, SampleSpec, UnusableRecordError, draw_kind, make_sample
from .samples import Sample
from .streams import Stream

ATTEMPTS = 10
_DRAW, _KIND, _SAMPLE, _SPARE = range(4)
"""What random numbers are for: each use has its own, so that none depends on how many another took."""


@dataclass
class PreparedStep:
    """What a loader process hands over: a step's batches, what went wrong, and where its streams stand."""

    batches: list[Batch]
    faults: list[Fault] = field(default_factory=list)
    lane: int = 0
    streams: dict[str, Any] = field(default_factory=dict)


class Schedule:
    """Which dataset each batch of each step comes from, and its number among the batches of that dataset.

    Args:
        weights: of the datasets, not all zero.
        batches: of a step.
    """

    def __init__(self, weights: Sequence[float], steps: int, batches: int, seed: int) -> None:
        edges = np.cumsum(weights)
        edges = edges / edges[-1]  # ends at exactly 1, also where the last weights are 0
        draws = np.random.default_rng((seed, _DRAW)).random(steps * batches)
        chosen = np.searchsorted(edges, draws, side="right")
        self._chosen = chosen.astype(np.int16).reshape(steps, batches)
        numbers = np.zeros(len(chosen), dtype=np.int64)
        for dataset in range(len(weights)):
            mine = chosen == dataset
            numbers[mine] = np.arange(mine.sum())
        self._numbers = numbers.reshape(steps, batches)

    def at(self, step: int) -> list[tuple[int, int]]:
        """(dataset, number of its batch) for each batch of `step`."""
        return [(int(d), int(n)) for d, n in zip(self._chosen[step], self._numbers[step], strict=True)]


class StepPreparation(Dataset):
    """Item `step` is the `PreparedStep` of this process.

    Steps of one lane (those that leave the same rest when divided by `lanes`) have to be asked for in order when there
    are streams; map-style datasets do not mind.
    """

    def __init__(
        self,
        config: DataOptions,
        indexed: dict[int, IndexedDataset],
        streamed: dict[int, Any],
        process_index: int,
        num_processes: int,
        lanes: int,
        held_out: HeldOut | None = None,
    ) -> None:
        self.config = config
        self.indexed = indexed
        self.streamed = streamed
        self.process_index = process_index
        self.num_processes = num_processes
        self.lanes = lanes
        self.held_out = held_out
        self.schedule = Schedule(
            [dataset.weight for dataset in config.datasets], config.steps, config.mixture.batches, config.seed
        )
        self.known_bad: frozenset[str] = frozenset()
        self.stream_states: dict[int, dict[str, Any]] = {}
        self.collator: Collator | None = None
        self.notes = WorkNotes(config.loader_workers)
        self._streams: dict[int, dict[int, Stream]] = {}

    def __len__(self) -> int:
        return self.config.steps

    def __getitem__(self, step: int) -> PreparedStep:
        prepared = PreparedStep([], lane=step % self.lanes)
        for position, (dataset, number) in enumerate(self.schedule.at(step)):
            config = self.config.datasets[dataset]
            kind = draw_kind(config, self._rng(_KIND, dataset, number))
            for part in range(self.config.accumulation):
                if dataset in self.streamed:
                    samples = self._from_stream(prepared, dataset, (step, position, part), kind)
                else:
                    samples = self._from_index(prepared, dataset, number, part, kind)
                # 1 where all parts are equally large: the loop takes the mean over processes and accumulated parts.
                parts = self.num_processes * self.config.accumulation
                weight = len(samples) * parts / config.batch_size / self.config.mixture.batches
                full = True if config.full_resolution_masks else None
                assert self.collator is not None
                prepared.batches.append(self.collator(samples, weight, full))
        if self.streamed:
            streams = self._streams.get(prepared.lane, {})
            prepared.streams = {self.config.datasets[d].name: s.state_dict() for d, s in streams.items()}
        return prepared

    def _rng(self, *purpose: int) -> np.random.Generator:
        return np.random.default_rng((self.config.seed, *purpose))

    def share(self, count: int, part: int) -> range:
        """Positions of a batch of `count` that this process gets as micro-batch `part`.

        Processes and parts are exchangeable: 2 processes, or 1 process with twice the accumulation, cut a batch alike.
        """
        accumulation = self.config.accumulation
        return range(self.process_index * accumulation + part, count, self.num_processes * accumulation)

    def _from_index(
        self, prepared: PreparedStep, dataset: int, number: int, part: int, kind: BatchKind
    ) -> list[Sample]:
        source = self.indexed[dataset]
        rows = source.batch(number)
        samples = []
        for position in self.share(len(rows), part):
            purpose = (dataset, number, position)
            candidates = _with_spares(int(rows[position]), source.spare, self._rng(_SPARE, *purpose))
            choices = ((source.sample_id(row), row, functools.partial(source.record, row)) for row in candidates)
            samples.append(self._first_valid_sample(prepared, source, kind, purpose, choices))
        return samples

    def _from_stream(
        self, prepared: PreparedStep, dataset: int, purpose: tuple[int, int, int], kind: BatchKind
    ) -> list[Sample]:
        stream = self._stream(dataset, prepared.lane)
        wanted = len(self.share(stream.config.batch_size, purpose[2]))
        samples = []
        for position, row in enumerate(stream.take()[:wanted]):
            seed = (dataset, *purpose, self.process_index, position)
            candidates = _with_spares(row, stream.spare, self._rng(_SPARE, *seed))
            choices = (
                (stream.sample_id(one), stream.place(one), functools.partial(stream.record_of, one))
                for one in candidates
            )
            samples.append(self._first_valid_sample(prepared, stream, kind, seed, choices))
        return samples

    def _stream(self, dataset: int, lane: int) -> Stream:
        lanes = self._streams.setdefault(lane, {})
        if dataset not in lanes:
            config = self.config.datasets[dataset]
            lanes[dataset] = Stream(
                config,
                self.streamed[dataset],
                self.process_index * self.lanes + lane,
                self.num_processes * self.lanes,
                max(len(self.share(config.batch_size, part)) for part in range(self.config.accumulation)),
                self.config.mixture.block,
                (self.config.seed, dataset),
                self.config.mixture.aspect_grouping,
                self.held_out,
            )
            state = self.stream_states.get(lane, {}).get(config.name)
            if state is not None:
                lanes[dataset].load_state_dict(state)
        return lanes[dataset]

    def _first_valid_sample(
        self,
        prepared: PreparedStep,
        source: IndexedDataset | Stream,
        kind: BatchKind,
        purpose: tuple[int, ...],
        choices: Iterator[tuple[str, int, Callable[[], Record]]],
    ) -> Sample:
        """The sample of the first of some rows that can be used; what is wrong with the others is noted.

        Args:
            choices: for each row what reports call it, its number in `source`, and what reads it.

        Raises:
            BadSampleError: none can.
        """
        info = get_worker_info()
        worker = 0 if info is None else info.id
        for sample_id, row, read in choices:
            if sample_id in self.known_bad:
                continue
            self.notes.write(worker, sample_id)
            try:
                rng = self._rng(_SAMPLE, *purpose)
                return make_sample(SampleSpec(source.config, read(), kind, rng, row, source.record, source.categories))
            except UnusableRecordError:
                pass  # nothing is wrong with it: another one takes its place
            except MemoryError:
                raise
            except Exception as error:  # whatever a broken file makes a decoder raise
                prepared.faults.append(Fault(sample_id, f"{type(error).__name__}: {error}"))
            finally:
                self.notes.write(worker, "")
        reasons = "; ".join(f"{fault.sample_id} ({fault.reason})" for fault in prepared.faults[-3:])
        raise BadSampleError(f"dataset {source.config.name!r}: {ATTEMPTS} samples in a row cannot be used. {reasons}")


def _with_spares(first: Any, spare: Callable[[np.random.Generator], Any], rng: np.random.Generator) -> Iterator[Any]:
    yield first
    for _ in range(ATTEMPTS - 1):
        yield spare(rng)


class MixtureFeed:
    """The data of a run with `datasets` (a `DataFeed`).

    Args:
        process_index, num_processes: which share of every batch this process gets.
        opened: datasets by name that are opened already (map-style or streaming); the others are opened from their
            source.
        reads_words: False: the words of sentences are not asked for, as the tokenizer is given.

    Raises:
        ValueError: a batch is too small for the processes; a dataset cannot be opened, lacks a column, or has no row
            for its task; a dataset shows pictures of COCO and no list says which are held out.
    """

    def __init__(
        self,
        config: DataOptions,
        process_index: int = 0,
        num_processes: int = 1,
        opened: dict[str, Any] | None = None,
        reads_words: bool = True,
    ) -> None:
        check_shares(config.datasets, num_processes, config.accumulation)
        self.config = config
        self.reads_words = reads_words
        held_out = HeldOut.of_datasets(config.mixture, [dataset.source for dataset in config.datasets])
        indexed: dict[int, IndexedDataset] = {}
        streamed: dict[int, Any] = {}
        for position, dataset in enumerate(config.datasets):
            if not dataset.weight:
                continue
            given = (opened or {}).get(dataset.name)
            rows = open_dataset(dataset, config.seed, given)
            if dataset.streaming:
                streamed[position] = rows
            else:
                seed = (config.seed, position)
                indexed[position] = IndexedDataset(dataset, seed, config.mixture.aspect_grouping, rows, held_out)
        lanes = max(1, config.loader_workers) if streamed else 1
        self._preparation = StepPreparation(config, indexed, streamed, process_index, num_processes, lanes, held_out)
        self.bad = BadSamples(config.mixture.max_bad_samples)
        self._lane_states: dict[int, dict[str, Any]] = {}

    @property
    def summary(self) -> str:
        total = sum(dataset.weight for dataset in self.config.datasets)
        parts = []
        for position, dataset in enumerate(self.config.datasets):
            if not dataset.weight:
                continue
            indexed = self._preparation.indexed.get(position)
            rows = "streamed" if indexed is None else f"{len(indexed)} rows"
            share = 100 * dataset.weight / total
            parts.append(f"{dataset.name} ({dataset.task}, {rows}, batch {dataset.batch_size}, {share:.0f} %)")
        cut = f" in {self.config.accumulation} parts" if self.config.accumulation > 1 else ""
        return f"{self.config.mixture.batches} batch(es) a step{cut} of {', '.join(parts)}"

    def vocabulary(self) -> Sequence[str]:
        """See `DataFeed`; of streams nothing is known."""
        if not self.reads_words:
            return []
        words: set[str] = set()
        for position, dataset in enumerate(self.config.datasets):
            if dataset.source in WORLD_SOURCES:
                from ...worlds.drawn.world import vocabulary

                words.update(vocabulary())
            elif position in self._preparation.indexed:
                words |= self._preparation.indexed[position].words()
        return sorted(words | {"left", "right"} if words & {"left", "right"} else words)

    def steps(self, first_step: int, collator: Collator) -> Iterator[list[Batch]]:
        """See `DataFeed`. A loader process that dies is replaced, and what it was reading counts as a bad sample.

        Raises:
            BadSampleError: more samples cannot be used than `mixture.max_bad_samples` allows.
        """
        step = first_step
        while step < self.config.steps:
            iterator = self._iterator(step, collator)
            try:
                for prepared in iterator:
                    for fault in prepared.faults:
                        self.bad.report(fault)
                    if prepared.streams:
                        self._lane_states[prepared.lane] = prepared.streams
                    step += 1
                    yield prepared.batches
            except RuntimeError as error:
                dead = dead_workers(error)
                if not dead:
                    raise
                for pid in dead:
                    reading = self._preparation.notes.read(pid) or f"(between samples, process {pid})"
                    self.bad.report(Fault(reading, f"the loader process that read it died ({error})"))

    def _iterator(self, first_step: int, collator: Collator) -> Iterator[PreparedStep]:
        preparation = self._preparation
        preparation.collator = collator
        preparation.known_bad = frozenset(self.bad.found)
        preparation.stream_states = dict(self._lane_states)
        preparation._streams = {}
        workers = self.config.loader_workers
        loader = step_loader(preparation, first_step, workers, self.config.prefetch)
        if not workers or threading.current_thread() is not threading.main_thread():
            return iter(loader)
        # PyTorch's handler would raise a worker's death wherever the training happens to be. Without it, the death is
        # found when the worker's step is asked for.
        handler = signal.getsignal(signal.SIGCHLD)
        iterator = iter(loader)
        signal.signal(signal.SIGCHLD, handler)
        return iterator

    def state_dict(self) -> dict[str, Any]:
        """See `DataFeed`: positions of streams, and the samples found bad; empty when there are neither."""
        state: dict[str, Any] = {}
        if self.bad.found:
            state["bad_samples"] = dict(self.bad.found)
        if self._preparation.streamed:
            state["lanes"] = self._preparation.lanes
            state["streams"] = {str(lane): streams for lane, streams in self._lane_states.items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `DataFeed`.

        Raises:
            ValueError: streams were read by a number of loader processes that the present one does not divide.
        """
        self.bad.found = dict(state.get("bad_samples", {}))
        if "lanes" not in state or not self._preparation.streamed:
            return
        lanes, workers = int(state["lanes"]), max(1, self.config.loader_workers)
        if lanes % workers:
            raise UsageError(
                f"loader_workers: got {workers}; streams were read in {lanes} lanes, which so many processes cannot "
                f"continue; accepted: divisors of {lanes}"
            )
        self._preparation.lanes = lanes
        self._lane_states = {int(lane): streams for lane, streams in state["streams"].items()}
