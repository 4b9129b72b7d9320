"""The training loop: several tasks a step, Accelerate for devices and precision, exact resume."""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from torch import Tensor

from .alignment import FusionRecord, alignment_loss, example_alignment_loss, recorded_fusion
from .auxiliary_head import AuxiliaryMaskHead
from .checkpointing import list_checkpoints, load_checkpoint, save_checkpoint
from .collation import Batch, Collator
from .config import LossPhase, TrainingConfig
from .data_feed import DataFeed, build_feed
from .ema import ExponentialMovingAverage
from .measures import batch_measures
from .metrics_log import MetricsLog, RunningMeans
from .model_factory import build_model
from .optimisation import build_optimizer, build_scheduler
from .tokenizer import build_tokenizer
from .validation import Validation

# Options that change how fast a run goes or what it reports, but not what it computes: they may differ on resume.
FREE_ON_RESUME = {"threads", "loader_workers", "prefetch", "log_every", "validation", "checkpoint", "save_dtype"}


class TrainingRun:
    """One run: model, optimiser, averages, data and log, and the step that ties them.

    Args:
        config: the run.
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
        self.config = config
        self.output = Path(output)
        self.accelerator = accelerator or Accelerator(mixed_precision=config.mixed_precision)
        self.device = self.accelerator.device
        self.feed = feed or build_feed(config, self.accelerator.process_index, self.accelerator.num_processes)
        text_length = int(config.model.get("text_length", 77))
        self.tokenizer = build_tokenizer(self.feed.vocabulary(), text_length)
        self.collator = Collator(self.tokenizer, text_length)
        self.model = build_model(config, len(self.tokenizer)).to(self.device)
        if config.channels_last:
            self.model.to(memory_format=torch.channels_last)
        self.auxiliary = AuxiliaryMaskHead(self.model.config.d_model, config.auxiliary.levels).to(self.device)
        self.optimizer = build_optimizer(config.optimizer, [self.model, self.auxiliary])
        self.scheduler = build_scheduler(config.optimizer, self.optimizer, config.steps)
        self.ema = ExponentialMovingAverage(self.model, config.ema_decay)
        self.validation = Validation(config.validation, config.sampling, config.seed, self.collator)
        self.step = 0
        self.stop_requested = False

    # State

    def state_dict(self) -> dict[str, Any]:
        """All that decides the rest of the run. Random numbers need no state: every step seeds them, see `run`."""
        return {
            "step": self.step,
            "config": self.config.to_dict(),
            "model": self.model.state_dict(),
            "auxiliary": self.auxiliary.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "ema": self.ema.state_dict(),
            "feed": self.feed.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, which must come from an equal configuration."""
        now, then = self.config.to_dict(), state["config"]
        changed = [name for name in now if name not in FREE_ON_RESUME and now[name] != then.get(name)]
        if changed:
            raise ValueError(
                f"resume: {', '.join(changed)} differ(s) from the checkpoint's configuration; resume with the same "
                "configuration and overrides, or start in another output folder"
            )
        self.model.load_state_dict(state["model"])
        self.auxiliary.load_state_dict(state["auxiliary"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.ema.load_state_dict(state["ema"])
        self.feed.load_state_dict(state["feed"])
        self.step = int(state["step"])

    def save_checkpoint(self) -> None:
        """Write a checkpoint (main process only)."""
        if self.accelerator.is_main_process:
            save_checkpoint(self.output / "checkpoints", self.step, self.state_dict(), self.config.checkpoint.keep)

    def resume(self) -> bool:
        """Continue from the newest checkpoint of the output folder; False when there is none."""
        checkpoints = list_checkpoints(self.output / "checkpoints")
        if not checkpoints:
            return False
        self.load_state_dict(load_checkpoint(checkpoints[-1]))
        return True

    # Learning

    def helper_factor(self, final_share: float) -> float:
        """The weight of a training-only loss falls linearly to `final_share` of its start over the run."""
        return 1 + (final_share - 1) * self.step / self.config.steps

    def forward(self, batch: Batch) -> tuple[Tensor, Any, dict[str, float]]:
        """Loss, model output and the loss terms to log of one micro-batch."""
        phase = self.config.alignment.phase(self.step)
        if phase is not None:
            self.model.criterion.weights["loss_ce"] = phase.class_loss
        with self.accelerator.autocast(), recorded_fusion(self.model.fusion) as record:
            output = self.model(**batch.inputs, output_hidden_states=True)
            loss = output.loss
            terms = {"loss": loss.detach()}
            weight = self.config.auxiliary.weight * self.helper_factor(self.config.auxiliary.final_share)
            if weight:
                helper = self.auxiliary(output.fused_features, batch.targets)
                loss = loss + weight * helper
                terms["auxiliary"] = helper.detach()
        if phase is not None:
            weight, aligned = self._alignment(phase, batch, output, record)
            if aligned is not None:
                helper, right = aligned
                loss = loss + weight * self.helper_factor(self.config.alignment.final_share) * helper
                terms |= {"alignment": helper.detach(), "alignment_right": right}
        return loss, output, {name: float(value) for name, value in terms.items()}

    def _alignment(
        self, phase: LossPhase, batch: Batch, output: Any, record: FusionRecord
    ) -> tuple[float, tuple[Tensor, Tensor] | None]:
        """Weight and alignment loss of a micro-batch with one kind of reference."""
        inputs, head_dim = batch.inputs, self.model.config.fusion_head_dim
        shapes = [tuple(level.shape[-2:]) for level in output.fused_features[: self.config.alignment.levels]]
        indices, targets = inputs["image_indices"], batch.targets
        if "reference_masks" not in inputs and phase.sentences:
            valid = inputs["attention_mask"]
            return phase.sentences, alignment_loss(record, head_dim, shapes, valid, indices, targets, batch.others)
        if "input_ids" not in inputs and phase.examples and bool(inputs["reference_pixel_mask"].all()):
            masks = inputs["reference_masks"]
            return phase.examples, example_alignment_loss(record, head_dim, shapes, masks, indices, targets)
        return 0.0, None

    def train_step(self, batches: list[Batch], means: RunningMeans, measure: bool) -> None:
        """Accumulate the gradients of all micro-batches and move the weights once."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        started = time.perf_counter()
        for batch in batches:
            batch = batch.to(self.device)
            loss, output, terms = self.forward(batch)
            if not torch.isfinite(loss):
                tasks = ", ".join(sorted(set(batch.tasks)))
                raise FloatingPointError(f"the loss of step {self.step} is {float(loss)} (tasks: {tasks})")
            self.accelerator.backward(batch.weight * loss)
            kind = "+".join(dict.fromkeys(batch.tasks))
            for name, value in terms.items():
                means.add(f"{kind}/{name}", value)
            if measure:
                for name, value in batch_measures(output, batch):
                    means.add(name, value)
            now = time.perf_counter()
            means.add(f"{kind}/ms", 1000 * (now - started))
            started = now
        self._average_gradients()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.config.optimizer.gradient_clip)
        means.add("gradient_norm", float(norm))
        self.optimizer.step()
        self.scheduler.step()
        self.ema.update(self.model)
        means.add("optimizer/ms", 1000 * (time.perf_counter() - started))

    def _average_gradients(self) -> None:
        """Mean over processes. Done once a step by hand: micro-batches of different tasks use different parameters."""
        if self.accelerator.num_processes == 1:
            return
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.flatten() for p in parameters])
        flat = self.accelerator.reduce(flat, reduction="mean")
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad.copy_(part.view_as(parameter))

    def validate(self) -> dict[str, float]:
        """The small validation with the averaged weights."""
        with self.ema.applied(self.model):
            return self.validation.run(self.model, self.device, self.accelerator.autocast)

    # The run

    def run(self) -> bool:
        """Train from the present step to the end. Returns False when interrupted (a checkpoint is written)."""
        config = self.config
        main = self.accelerator.is_main_process
        log = MetricsLog(self.output / "log.jsonl" if main else None, config.steps, self.step)
        if main:
            written = yaml.safe_dump(config.to_dict(), sort_keys=False)
            (self.output / "config.yaml").write_text(written, encoding="utf-8")
        parameters = sum(p.numel() for p in self.model.parameters())
        log.message(
            f"{parameters / 1e6:.2f} M parameters, {self.feed.summary}, device {self.device}, "
            f"{self.accelerator.num_processes} process(es), precision {self.accelerator.mixed_precision}"
        )
        batches_of_steps = self.feed.steps(self.step, self.collator)
        means = RunningMeans()
        text = ""
        with self._interruptible():
            while self.step < config.steps:
                waiting = time.perf_counter()
                batches = next(batches_of_steps)
                means.add("loader/ms", 1000 * (time.perf_counter() - waiting))
                # Seeding every step makes dropout a function of (seed, step, process), as the data are.
                torch.manual_seed((config.seed * 1_000_003 + self.step) * 4099 + self.accelerator.process_index)
                self.train_step(batches, means, measure=True)
                self.step += 1
                if self._agree_to_stop():
                    self.save_checkpoint()
                    log.message(f"interrupted after step {self.step}: checkpoint written, continue with --resume")
                    return False
                logged = self.step % config.log_every == 0 or self.step == config.steps
                if logged:
                    values = means.pop()
                    values["learning_rate"] = float(self.scheduler.get_last_lr()[0])
                    log.record("train", self.step, values)
                    text = summary(values)
                log.progress(self.step, text, final=logged)
                every = config.validation.every
                if main and every and (self.step % every == 0 or self.step == config.steps):
                    started = time.perf_counter()
                    values = self.validate()
                    log.record("validation", self.step, values)
                    log.message(f"validation {time.perf_counter() - started:.1f} s: {summary(values)}")
                if self.step % config.checkpoint.every == 0 or self.step == config.steps:
                    self.save_checkpoint()
        if main:
            log.message(f"saved {self.export()}")
        self.accelerator.wait_for_everyone()
        return True

    def _agree_to_stop(self) -> bool:
        if self.accelerator.num_processes == 1:
            return self.stop_requested
        flag = torch.tensor(float(self.stop_requested), device=self.device)
        return bool(self.accelerator.reduce(flag, reduction="sum") > 0)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the run after the step in progress; a second one ends it at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous: dict[int, Any] = {}

        def request_stop(number: int, frame: Any) -> None:
            self.stop_requested = True
            signal.signal(number, previous[number])

        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, request_stop)
        try:
            yield
        finally:
            for signal_number, handler in previous.items():
                signal.signal(signal_number, handler)

    def export(self) -> Path:
        """Write averaged weights, configuration, processor and tokenizer as a Transformers folder, `output/final`.

        `save_dtype` is how the weights are stored. The configuration keeps the dtype of training, so a model that was
        stored in half precision to save space is loaded and run in float32 unless the caller asks for something else.
        """
        from ..processors.processing_uniref import UniRefProcessor

        final = self.output / "final"
        partial = self.output / "final.partial"
        shutil.rmtree(partial, ignore_errors=True)
        dtype = getattr(torch, self.config.save_dtype)
        with self.ema.applied(self.model):
            state = {
                name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
                for name, value in self.model.state_dict().items()
            }
        self.model.save_pretrained(partial, state_dict=state, save_original_format=False)
        size = self.config.image_sizes[-1].size
        processor = UniRefProcessor(build_image_processor(size), self.tokenizer, self.model.config.text_length)
        processor.save_pretrained(partial)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        return final


def build_image_processor(size: int) -> Any:
    """The image processor of a model trained on `size` x `size` pixels: shortest side `size` for every task."""
    from ..processors.image_processing_uniref import UniRefImageProcessorPil

    return UniRefImageProcessorPil(size={"shortest_edge": size, "longest_edge": 3 * size})


def summary(values: dict[str, float]) -> str:
    """The telling numbers of a record in one short line."""
    shown = [
        (name, value)
        for name, value in values.items()
        if name.endswith(("/loss", "/iou", "/right", "/propagated", "/recovered", "/score_absent"))
        or name in ("swap", "gradient_norm")
    ]
    return " ".join(f"{name} {value:.2f}" for name, value in shown)


def train(config: TrainingConfig, output: str | Path, resume: bool = False) -> bool:
    """Run `config` into the folder `output`.

    Args:
        config: the run.
        output: folder; must be new or empty unless `resume`.
        resume: continue from the newest checkpoint of `output` (from the start when there is none).

    Returns:
        True when the run is complete, False when it was interrupted and can be resumed.
    """
    output = Path(output)
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    if accelerator.is_main_process:
        if output.is_dir() and any(output.iterdir()) and not resume:
            raise FileExistsError(f"output: {output} is not empty; give another folder or resume")
        output.mkdir(parents=True, exist_ok=True)
    # Nobody writes before the folder was judged.
    accelerator.wait_for_everyone()
    run = TrainingRun(config, output, accelerator=accelerator)
    if resume:
        run.resume()
    return run.run()
