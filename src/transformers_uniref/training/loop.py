"""The training loop: several tasks a step, Accelerate for devices and precision, exact resume."""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from ..core.errors import UsageError
from ..core.optional import missing_extra

try:
    from accelerate import Accelerator
    from accelerate.utils import AutocastKwargs
except ImportError as error:
    raise missing_extra("accelerate", "train", "training", error) from error

from ..core.atomic import replacing
from ..modeling.losses.matching import NonFinitePredictionsError
from .checkpointing import (
    checkpoint_path,
    load_checkpoint,
    load_newest_checkpoint,
    remove_remains,
    require_plain,
    save_checkpoint,
    write_best,
)
from .config.training import TrainingConfig
from .data.collation import Batch, Collator
from .data.feed import DataFeed, build_feed
from .data.loader import loaders_end_with_failure
from .data.predicted_references import with_predicted_references
from .data.rescaling import fit_to_machine
from .export import build_audio_extractor, build_processor, export_model
from .interruption import stopping_gently
from .metrics_log import forget_after
from .model.adapter import base_fingerprint, changing_state, keep_frozen_statistics, restore_changing_state_
from .model.audio_start import teach_names_
from .model.factory import build_model, choose_tokenizer
from .resume_check import changed_options
from .run_provenance import data_of, trained
from .sharding.distributed import any_process, average_gradients, from_main, gathered
from .sharding.request import requested_sharding
from .sharding.sharding import (
    abandon_pass_,
    gather_,
    is_sharded,
    moments_in_pieces,
    pieces_of,
    require_lockstep,
    require_shardable,
    shard_,
    whole,
    whole_tensor,
)
from .step.auxiliary_head import build_heads
from .step.ema import ExponentialMovingAverage
from .step.faults import MicroBatchRecord, NonFiniteError, write_nonfinite
from .step.losses import batch_losses, weights_at
from .step.optimisation import build_optimizer, build_scheduler, restore_optimizer_
from .step.report import StepReport
from .trackers import build_accelerator, start_trackers
from .validation.validation import Validation, validation_parts

# Below this scale of the loss a gradient that overflows in half precision is no matter of the scale any more.
SMALLEST_SCALE = 1.0


class TrainingRun:
    """One run: model, optimiser, averages, data and log, and the step that ties them.

    Args:
        output: its folder: `checkpoints/`, `log.jsonl`, `config.yaml`, and `final/` at the end.
        feed: the data; what `config` asks for unless given.
        accelerator: devices, precision, processes; made from `config` unless given.
    """

    def __init__(
        self,
        config: TrainingConfig,
        output: str | Path,
        feed: DataFeed | None = None,
        accelerator: Accelerator | None = None,
    ) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        self.output = Path(output)
        self.accelerator = accelerator or build_accelerator(output, config.mixed_precision, config.trackers)
        config, self.division = fit_to_machine(config, self.accelerator.num_processes)
        self.config = config
        sharding = requested_sharding(config.sharding)
        if sharding:
            require_shardable(config.channels_last, bool(config.peft), config.compile)
        self.device = self.accelerator.device
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        self.feed = feed or build_feed(config, process, processes, reads_words=not config.text_weights)
        self.words = self.feed.vocabulary()
        self.tokenizer = choose_tokenizer(config, self.words)
        self.start_report: list[str] = []
        self.model = build_model(config, len(self.tokenizer), self.start_report).to(self.device)
        extractor = build_audio_extractor(config)
        self.collator = Collator(
            self.tokenizer, int(self.model.config.text_length), getattr(self.model.config, "image_size", 0), extractor
        )
        if config.audio_start_steps:
            error = teach_names_(self.model, self.tokenizer, extractor, config.audio_start_steps, config.seed)
            self.start_report.append(f"the audio encoder learned names, mean squared error {error:.4f}")
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        # Compiled or not, the parameters are those of the model.
        self.forward = torch.compile(self.model, backend=config.compile) if config.compile else self.model
        self.auxiliary = build_heads(self.model.config.d_model, config.auxiliary, config.sampling.photographs)
        self.auxiliary.to(self.device)
        self.placement = ""
        if sharding and self.accelerator.num_processes > 1:
            self.placement = shard_(self.model, self.auxiliary, self.accelerator, sharding)
        elif sharding:
            self.placement = "sharding fsdp2: one process has nothing to share"
        self.sharded = is_sharded(self.model)
        self.optimizer = build_optimizer(config.optimizer, self.model, [self.auxiliary])
        self.scheduler = build_scheduler(config.optimizer, self.optimizer, config.steps)
        self.ema = ExponentialMovingAverage(self.model, config.ema_decay)
        on_scenes = bool(config.micro_batches)
        parts = validation_parts(config.validation, config.sampling, config.seed, on_scenes, self.collator)
        self.validation = Validation(parts, self.collator)
        # The base of an adapter is in no checkpoint; this tells whether it is still the same.
        self.base = base_fingerprint(self.model) if config.peft else ""
        self.step = 0
        self.skipped = 0
        self.overflows = 0
        self.validated_step = 0
        self.best: dict[str, Any] = {}
        self.stop_requested = False
        self.report = StepReport(
            self.output, self.accelerator, self.tokenizer, config.steps, config.log_every, config.pictures
        )

    # State

    def state_dict(self) -> dict[str, Any]:
        """All that decides the rest of the run; every process must call.

        Random numbers need no state: every step seeds them, see `run`. The tensors of a sharded run are whole in the
        main process, and only there: its state is that of a run with whole copies.
        """
        feeds = gathered(self.accelerator, self.feed.state_dict())
        require_plain(feeds, "the state of the data feed")
        scaler = self.accelerator.scaler
        state: dict[str, Any] = {
            "step": self.step,
            "config": self.config.to_dict(),
            "model": changing_state(self.model) if self.config.peft else self.model.state_dict(),
            "base": self.base,
            "auxiliary": self.auxiliary.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "ema": self.ema.state_dict(),
            "feeds": feeds,
            "skipped": self.skipped,
            "overflows": self.overflows,
            "validated_step": self.validated_step,
            "best": self.best,
        }
        return whole(state, self.accelerator.is_main_process) if self.sharded else state

    def load_state_dict(self, state: dict[str, Any], force: bool = False) -> list[str]:
        """Continue from `state`.

        Args:
            state: of a run with an equal configuration on as many processes.
            force: take it although the configuration differs; the new one holds from here on.

        Returns:
            what differs, one line each (empty unless `force`).

        Raises:
            ValueError: something differs that matters (without `force`), or that cannot be reconciled.
        """
        changes = changed_options(state["config"], self.config.to_dict())
        processes, feeds = self.accelerator.num_processes, state["feeds"]
        if len(feeds) != processes:
            changes.append(f"number of processes: {len(feeds)} then, {processes} now")
            if any(feeds):
                raise UsageError(f"resume: {changes[-1]}; the places where the data were left off are by process")
        if changes and not force:
            raise UsageError(
                f"resume: the configuration changed: {'; '.join(changes)}. Resume with the same configuration and "
                "overrides, start in another output folder, or accept the change with `force`"
            )
        if state.get("base", "") != self.base:
            raise UsageError(f"resume: the base model {self.config.initial_weights} has changed since the checkpoint")
        try:
            self._load_weights(state)
        except RuntimeError as error:
            raise UsageError(
                f"resume: the checkpoint's model has other sizes ({str(error).splitlines()[-1]})"
            ) from error
        moments = moments_in_pieces(state["optimizer"], self.optimizer) if self.sharded else state["optimizer"]
        restore_optimizer_(self.optimizer, self.scheduler, moments, state["scheduler"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.ema.load_state_dict(state["ema"])
        if len(feeds) == processes:
            self.feed.load_state_dict(feeds[self.accelerator.process_index])
        self.step = int(state["step"])
        self.skipped, self.overflows = int(state["skipped"]), int(state["overflows"])
        self.validated_step = int(state["validated_step"])
        self.best = state["best"] if state["best"].get("measure") == self.config.checkpoint.best else {}
        return changes

    def _load_weights(self, state: dict[str, Any]) -> None:
        if self.config.peft:
            restore_changing_state_(self.model, state["model"])
            self.auxiliary.load_state_dict(state["auxiliary"])
            return
        for module, values in ((self.model, state["model"]), (self.auxiliary, state["auxiliary"])):
            module.load_state_dict(pieces_of(values, module.state_dict()) if self.sharded else values)

    def save_checkpoint(self) -> None:
        """Write a checkpoint; every process must call, the main one writes."""
        state = self.state_dict()
        if self.accelerator.is_main_process:
            folder = self.output / "checkpoints"
            save_checkpoint(folder, self.step, state, self.config.checkpoint.keep, self.best.get("step"))
            if self.best.get("step") == self.step:
                write_best(folder, self.step, self.best["measure"], self.best["value"])

    def resume(self, force: bool = False) -> bool:
        """Continue from the newest whole checkpoint of the output folder; False when there is none.

        Args:
            force: also when the configuration changed, see `load_state_dict`.
        """
        folder = self.output / "checkpoints"
        if self.accelerator.is_main_process:
            remove_remains(folder)
        state, unreadable = load_newest_checkpoint(folder)
        if state is not None:
            changes = self.load_state_dict(state, force)
            self.start_report = [f"resumed after step {self.step}", *(f"changed by force: {line}" for line in changes)]
        self.start_report += [f"passed over, not readable: {line}" for line in unreadable]
        if self.accelerator.is_main_process:
            forget_after(self.output / "log.jsonl", self.step)
        return state is not None

    # Learning

    def train_step(self, batches: list[Batch]) -> bool:
        """Accumulate the gradients of all micro-batches and move the weights once.

        Returns:
            whether the weights were moved; not when the step was skipped, or overflowed in half precision.

        Raises:
            NonFiniteError: the loss or gradient is not finite and `config.on_nonfinite` is `stop`.
        """
        self.model.train()
        if self.config.peft:
            keep_frozen_statistics(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        # A batch norm that has seen a NaN never forgets it.
        buffers = [b.clone() for b in self.model.buffers()] if self.config.on_nonfinite == "skip" else []
        if self.sharded:
            require_lockstep(self.accelerator, batches)
        records = [self._micro_batch(batch.to(self.device)) for batch in batches]
        started = time.perf_counter()
        norm = self._settle_gradients()
        losses_fit = all(math.isfinite(record.loss) for record in records)
        (bad_loss,) = any_process(self.accelerator, [not losses_fit])
        scaler = self.accelerator.scaler
        if not bad_loss and not math.isfinite(norm) and scaler is not None and scaler.get_scale() >= SMALLEST_SCALE:
            self.overflows += 1
            scaler.step(self.optimizer)  # which sees the overflow and moves nothing
            scaler.update()
            self.scheduler.step()
            return False
        if bad_loss or not math.isfinite(norm):
            self._report_nonfinite(records, norm)
            for buffer, kept in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(kept)
            self.optimizer.zero_grad(set_to_none=True)
            if scaler is not None:
                scaler.scale(torch.zeros((), device=self.device))  # where no micro-batch got as far as a backward pass
                scaler.update(scaler.get_scale())
            self.scheduler.step()
            return False
        self.report.means.add("gradient_norm", norm)
        if scaler is None:
            self.optimizer.step()
        else:
            scaler.step(self.optimizer)
            scaler.update()
        self.scheduler.step()
        self.ema.update(self.model)
        self.report.means.add("optimizer/ms", 1000 * (time.perf_counter() - started))
        return True

    def _micro_batch(self, batch: Batch) -> MicroBatchRecord:
        """Forward and backward pass."""
        started = time.perf_counter()
        if self.sharded:
            # Not in its own forward pass: a process whose predictions are not finite does not get there.
            gather_(self.auxiliary)
        config = self.config
        batch = with_predicted_references(self.model, batch, config.sampling.predicted_share, self._autocast)
        weights = weights_at(self.step, config.steps, config.auxiliary, config.alignment)
        losses = None
        try:
            losses = batch_losses(self.model, self.auxiliary, batch, weights, self._autocast(), self.forward)
        except NonFinitePredictionsError:
            if self.model.criterion.reduce_normalizer and self.accelerator.num_processes > 1:
                # The other processes wait inside the criterion for this one's count.
                self._report_nonfinite([MicroBatchRecord(batch.tasks, batch.sample_ids, math.nan)], math.nan, stop=True)
        if self.sharded and any_process(self.accelerator, [losses is None])[0]:
            # The backward pass gathers parameters: all processes make it, or none.
            abandon_pass_((self.model, self.auxiliary))
        elif losses is not None:
            self.accelerator.backward(batch.weight / config.accumulation * losses.total)
            terms = {name: float(term) for name, term in losses.terms.items()}
            known = terms if math.isfinite(terms["loss"]) else {}
            self.report.micro_batch(batch, losses.output, known, time.perf_counter() - started)
        loss = math.nan if losses is None else float(losses.total.detach())
        return MicroBatchRecord(batch.tasks, batch.sample_ids, loss)

    def _autocast(self) -> contextlib.AbstractContextManager:
        """The precision of a pass. Its cache would keep a whole copy of sharded weights, in half precision."""
        if self.sharded:
            return self.accelerator.autocast(AutocastKwargs(cache_enabled=False))
        return self.accelerator.autocast()

    def _settle_gradients(self) -> float:
        """Average the gradients over processes, take the scale off, clip; their norm before clipping."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        # With the scale on, an overflow in one process is one in all.
        if not self.sharded:  # else every backward pass has averaged its own
            average_gradients(self.accelerator, parameters)
        if self.accelerator.scaler is not None and any(p.grad is not None for p in parameters):
            self.accelerator.scaler.unscale_(self.optimizer)
        limit = self.config.optimizer.gradient_clip or math.inf
        return float(whole_tensor(torch.nn.utils.clip_grad_norm_(parameters, limit)))

    def _report_nonfinite(self, records: list[MicroBatchRecord], norm: float, stop: bool = False) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        process = self.accelerator.process_index
        _, sentence = write_nonfinite(self.output, self.step, process, norm, records)
        if stop or self.config.on_nonfinite == "stop":
            raise NonFiniteError(f"{sentence}; `on_nonfinite: skip` goes on without such steps")
        self.skipped += 1
        self.report.log.message(f"skipped ({self.skipped} so far): {sentence}")
        self.report.log.record("skipped", self.step + 1, {"skipped": self.skipped, "reason": sentence})

    def validate(self) -> dict[str, float]:
        """The small validation with the averaged weights; of a sharded run every process must call."""
        with self.ema.applied(self.model):
            return self.validation.run(self.model, self.device, self._autocast)

    # The run

    def run(self) -> bool:
        """Train from the present step to the end. Returns False when interrupted (a checkpoint is written)."""
        config = self.config
        main = self.accelerator.is_main_process
        report = self.report
        report.open(self.step)
        log = report.log
        if main:
            with replacing(self.output / "config.yaml") as partial:
                partial.write_text(yaml.safe_dump(config.to_dict(), sort_keys=False), encoding="utf-8")
        start_trackers(self.accelerator, config.name, config.to_dict())
        parameters = sum(p.numel() for p in self.model.parameters())
        log.message(
            f"{parameters / 1e6:.2f} M parameters, {self.feed.summary}, device {self.device}, "
            f"{self.accelerator.num_processes} process(es), precision {self.accelerator.mixed_precision}"
        )
        measured = [part.summary for part in self.validation.parts]
        lines = [
            self.division,
            self.placement,
            f"validation on {'; '.join(measured)}" if measured else "",
            *self.start_report,
        ]
        for line in filter(None, lines):
            log.message(line)
        batches_of_steps = self.feed.steps(self.step, self.collator)
        report.restart_clock()
        with loaders_end_with_failure(), stopping_gently(self.request_stop):
            if self._validate_when_due():  # left over when the run was interrupted after this step
                self.save_checkpoint()
            while self.step < config.steps:
                waiting = time.perf_counter()
                batches = next(batches_of_steps)
                report.means.add("loader/ms", 1000 * (time.perf_counter() - waiting))
                # Seeding every step makes dropout a function of (seed, step, process), as the data are.
                torch.manual_seed((config.seed * 1_000_003 + self.step) * 4099 + self.accelerator.process_index)
                report.begin_step(self.step + 1)
                self.train_step(batches)
                self.step += 1
                (stop,) = any_process(self.accelerator, [self.stop_requested])
                if stop:
                    self.save_checkpoint()
                    log.message(f"interrupted after step {self.step}: checkpoint written")
                    return False
                report.end_step(self.step, self._numbers())
                improved = self._validate_when_due()
                if improved or self.step % config.checkpoint.every == 0 or self.step == config.steps:
                    self.save_checkpoint()
        if main or self.sharded:
            log.message(f"saved {self.export()}")
            if self.best:
                log.message(f"saved {self.export_best()} ({self.best['measure']} {self.best['value']:.4f})")
        self.accelerator.wait_for_everyone()
        for tracker in self.accelerator.trackers:
            tracker.finish()
        return True

    def request_stop(self) -> None:
        """End the run after the step in progress, with a checkpoint."""
        self.stop_requested = True

    def _numbers(self) -> dict[str, float]:
        """What a log line says of the run's state."""
        values: dict[str, float] = {"learning_rate": float(self.scheduler.get_last_lr()[0]), "skipped": self.skipped}
        if self.accelerator.scaler is not None:
            values |= {"overflows": self.overflows, "loss_scale": self.accelerator.scaler.get_scale()}
        return values

    def _validate_when_due(self) -> bool:
        """Validate after every so many steps and after the last; whether the result is the best so far."""
        config, every = self.config, self.config.validation.every
        due = every and self.step and (self.step % every == 0 or self.step == config.steps)
        if not due or self.validated_step == self.step:
            return False
        self.validated_step = self.step
        improved = None
        main, started = self.accelerator.is_main_process, time.perf_counter()
        values = self.validate() if main or self.sharded else {}
        if main:
            self.report.validation(self.step, values, time.perf_counter() - started)
            improved = self._improvement(values)
        improved = from_main(self.accelerator, improved)
        if improved is None:
            return False
        self.best = improved
        return True

    def _improvement(self, values: dict[str, float]) -> dict[str, Any] | None:
        wanted = self.config.checkpoint.best
        if not wanted:
            return None
        if wanted not in values:
            raise UsageError(f"checkpoint.best: the validation has no {wanted!r}; it has {', '.join(sorted(values))}")
        value = float(values[wanted])
        if not self.config.checkpoint.is_better(value, self.best.get("value")):
            return None
        return {"measure": wanted, "value": value, "step": self.step}

    def export(self) -> Path:
        """Write averaged weights, configuration, processor and tokenizer as a Transformers folder, `output/final`.

        A run with an adapter writes that instead of weights and configuration. Of a sharded run every process must
        call; the main one writes.
        """
        return self._export("final", self.ema, self.step)

    def export_best(self) -> Path:
        """Write the best checkpoint's averaged weights as `output/best`. The run's own weights are lost by it.

        Of a sharded run every process must call; the main one writes.
        """
        state = load_checkpoint(checkpoint_path(self.output / "checkpoints", self.best["step"]))
        self._load_weights(state)
        ema = ExponentialMovingAverage(self.model, self.config.ema_decay)
        ema.load_state_dict(state["ema"])
        return self._export("best", ema, self.best["step"])

    def _export(self, name: str, ema: ExponentialMovingAverage, steps: int) -> Path:
        folder, main = self.output / name, self.accelerator.is_main_process
        with ema.applied(self.model):
            weights = whole(self.model.state_dict(), main) if self.sharded else None
            if main:
                config, length, side = self.config, self.model.config.text_length, self.config.image_sizes[-1].size
                processor = build_processor(config, self.tokenizer, length, config.image_processor, side, self.words)
                provenance = trained(config.name, steps, config, data_of(config))
                export_model(folder, self.model, processor, provenance, config.save_dtype, weights)
        return folder


def train(config: TrainingConfig, output: str | Path, resume: bool = False, force: bool = False) -> bool:
    """Run `config` into the folder `output`.

    Args:
        output: folder; must be new or empty unless `resume`.
        resume: continue from the newest checkpoint of `output` (from the start when there is none).
        force: resume although the configuration changed.

    Returns:
        True when the run is complete, False when it was interrupted and can be resumed.

    Raises:
        FileExistsError: `output` is not empty.
        ValueError: the configuration changed, or does not fit the machine or the data.
        NonFiniteError: the loss or gradient became NaN or infinite.
        CheckpointWriteError: a checkpoint could not be written; the one before is whole.
    """
    config.require_complete()
    output = Path(output)
    accelerator = build_accelerator(output, config.mixed_precision, config.trackers)
    if accelerator.is_main_process:
        if output.is_dir() and any(output.iterdir()) and not resume:
            raise FileExistsError(f"output: {output} is not empty; give another folder or resume")
        output.mkdir(parents=True, exist_ok=True)
    # Nobody writes before the folder was judged.
    accelerator.wait_for_everyone()
    run = TrainingRun(config, output, accelerator=accelerator)
    if resume:
        run.resume(force)
    return run.run()
