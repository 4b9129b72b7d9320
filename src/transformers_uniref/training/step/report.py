"""What a run tells of its steps: numbers between two log lines, one line of progress, pictures of some steps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from transformers import PreTrainedTokenizerBase

from ..config.loop import PicturesConfig
from ..data.collation import Batch
from ..data.sample_pictures import entry_rows, write_sheet
from ..metrics_log import MetricsLog, RunningMeans, memory_in_use
from ..sharding.distributed import gathered
from .measures import batch_measures


class StepReport:
    """Gathers what the steps of a run give, and writes it to `log.jsonl`, trackers, terminal and `pictures/`.

    Every process has one, for numbers are means over all processes; the main one writes.

    Args:
        tokenizer: turns token ids back into the sentences under pictures.
        log_every: steps from one record to the next.
        pictures: how often, and of how many entries.
    """

    def __init__(
        self,
        output: Path,
        accelerator: Accelerator,
        tokenizer: PreTrainedTokenizerBase,
        steps: int,
        log_every: int,
        pictures: PicturesConfig,
    ) -> None:
        self.steps = steps
        self.log_every = log_every
        self.pictures = pictures
        self.output = output
        self.accelerator = accelerator
        self.tokenizer = tokenizer
        # Says nothing until the run has begun.
        self.log = MetricsLog(None, steps)
        self.means = RunningMeans()
        # Since the last log line: when it was written, how many entries were seen, and what it said.
        self._meter, self._entries, self._text = time.perf_counter(), 0, ""
        # Pictures and captions of the step in progress; None when none are wanted.
        self._rows: tuple[list, list] | None = None

    def open(self, first_step: int) -> None:
        """Begin to write; `first_step` steps are done already."""
        path = self.output / "log.jsonl" if self.accelerator.is_main_process else None
        self.log = MetricsLog(path, self.steps, first_step)

    def restart_clock(self) -> None:
        """Count the time of the next log line from now on."""
        self._meter = time.perf_counter()

    def begin_step(self, step: int) -> None:
        """The step that will be number `step` (from 1) begins."""
        every = self.pictures.every
        wanted = self.accelerator.is_main_process and every and step % every == 0
        self._rows = ([], []) if wanted else None

    def micro_batch(self, batch: Batch, output: Any, terms: dict[str, float], seconds: float) -> None:
        """A pass was made: its model output, its losses by name (none where they are not finite), the time it took."""
        kind = "+".join(dict.fromkeys(batch.tasks))
        for name, value in terms.items():
            self.means.add(f"{kind}/{name}", value)
        if terms:
            for name, value in batch_measures(output, batch):
                self.means.add(name, value)
        self.means.add(f"{kind}/ms", 1000 * seconds)
        self._entries += len(batch.tasks)
        if self._rows is not None:
            pictures, captions = entry_rows(batch, output, self.tokenizer, self.pictures.entries)
            self._rows[0].extend(pictures)
            self._rows[1].extend(captions)

    def end_step(self, step: int, state: dict[str, float]) -> None:
        """Show the progress, and where due write a record and the pictures; every process must call.

        Args:
            step: that was made, from 1.
            state: further numbers of the record, such as the learning rate.
        """
        logged = step % self.log_every == 0 or step == self.steps
        if logged:
            self._record(step, state)
        self.log.progress(step, self._text, final=logged)
        if self._rows is not None:
            write_sheet(self.output / "pictures" / f"step-{step:06d}.png", *self._rows)
            self._rows = None

    def _record(self, step: int, state: dict[str, float]) -> None:
        now = time.perf_counter()
        for sums in gathered(self.accelerator, self.means.take()):
            self.means.absorb(sums)
        values = self.means.pop() | state
        values["samples_per_second"] = self._entries * self.accelerator.num_processes / (now - self._meter)
        values["memory_mib"] = memory_in_use(self.accelerator.device)
        self._entries, self._meter = 0, now
        self.log.record("train", step, values)
        self.accelerator.log(values, step=step)
        self._text = summary(values)

    def validation(self, step: int, values: dict[str, float], seconds: float) -> None:
        """The main process has measured `values` after `step`."""
        self.log.record("validation", step, values)
        self.accelerator.log({f"validation/{name}": value for name, value in values.items()}, step=step)
        self.log.message(f"validation {seconds:.1f} s: {summary(values)}")


def summary(values: dict[str, float]) -> str:
    """The telling numbers of a record in one short line."""
    shown = [
        (name, value)
        for name, value in values.items()
        if name.endswith(("/loss", "/iou", "/right", "/propagated", "/recovered", "/score_absent"))
        or name in ("swap", "gradient_norm")
    ]
    text = " ".join(f"{name} {value:.2f}" for name, value in shown)
    if "samples_per_second" in values:
        text = f"{values['samples_per_second']:.1f} samples/s {values['memory_mib']:.0f} MiB {text}"
    return f"{text} skipped {values['skipped']:.0f}" if values.get("skipped") else text
