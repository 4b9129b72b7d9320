"""The training configuration: the options of a run, its sections, and what they have to agree on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .data import DatasetConfig, MixtureConfig, check_datasets
from .loop import (
    TRACKERS,
    CheckpointConfig,
    OptimizerConfig,
    PicturesConfig,
    ValidationConfig,
    check_patterns,
)
from .losses import AlignmentConfig, AuxiliaryConfig
from .model import ModelOptions
from .values import apply_override, build, read_values
from .world import ImageSizePhase, MicroBatchConfig, SamplingConfig, check_image_sizes, check_micro_batches


@dataclass
class TrainingConfig(ModelOptions):
    """One training run. `model` holds arguments of the model's configuration; the rest is explained at each section.

    Attributes:
        architecture: `uniref` (`model` holds arguments of `UniRefConfig`), `uniref_sam` (of `UniRefSamConfig`, with
            its `vision_config`; the section `backbone` is not used), or `initial_weights`: the model, tokenizer and
            processor of that folder as they are. Then `backbone` and `text` are not used, and `model` may only hold
            what its configuration says too, or losses and dropouts. So it is with an adapter, whatever stands here.
        peft: train an adapter instead of the model, see [`AdapterSection`].
        mixed_precision: `fp16` scales its losses; see `docs` of Accelerate for the devices that have it.
        gradient_checkpointing: compute activations again in the backward pass instead of keeping them.
        compile: backend of `torch.compile` (`inductor`); empty: not compiled.
        accumulation: every batch is cut into so many parts, one after the other; the gradient is their mean, as if so
            many times the processes had taken one each. The batch a step stays as large as it is.
        sharding: `fsdp2` gives every process a piece of the parameters, gradients, moments and averages (the same as a
            launch with `accelerate/fsdp2.yaml`); `none` whole copies. With one process there is nothing to share.
        on_nonfinite: a loss or gradient that is not finite stops the run (`stop`) or skips the step (`skip`, counted);
            either way the sample ids are written to the run's folder.
        trackers: where Accelerate reports numbers to: tensorboard, wandb, trackio; `log.jsonl` is always written.
        freeze: `released` (what every released stage freezes: stem and first stage of a ResNet, nothing of a Swin,
            image and prompt encoder of a SAM), `fusion` (all but UniFusion), `decoder` (all but the decoder, its
            queries and the heads) or `full` (nothing is frozen).
        frozen: regular expressions; parameters whose name one is found in are not trained either.
        initial_weights: folder, Hub id or bundled name of a UniRef model to start from, such as the previous stage's
            `final`. Modules that it lacks keep their other start values.
        initial_weights_skip: regular expressions; tensors whose name one is found in are not taken from it.
        extend_vocabulary: add the words of the data that the tokenizer of `initial_weights` does not know. Its own
            tokens keep their numbers and embeddings. Otherwise unknown words are read letter by letter.
        backbone_weights: folder or Hub id of a ResNet or Swin; its configuration replaces the section `backbone`.
        text_weights: folder or Hub id of a BERT; its configuration and tokenizer replace the section `text`.
        micro_batches: what a step draws from the procedural world; or else
        datasets: what a run is trained on, mixed as `mixture` says.
        global_batch: images of an optimiser step. With it `datasets.*.batch_size` and `accumulation` follow from the
            number of processes, see `training/data/rescaling.py`; 0: they are as given.
        micro_batch: with `global_batch`, most images that a process has in one forward and backward pass; 0: any.
        starts_from: the recipe whose `final` folder `initial_weights` has to name, or the command that writes such a
            folder; such a run does not start from random weights by mistake.
        image_processor: arguments of the image processor in `final/`, such as `size`; by default its pictures have the
            side that `image_sizes` ends with.
    """

    name: str
    steps: int
    mixed_precision: Literal["no", "bf16", "fp16"] = "bf16"
    compile: str = ""
    accumulation: int = 1
    sharding: Literal["none", "fsdp2"] = "none"
    on_nonfinite: Literal["stop", "skip"] = "stop"
    trackers: list[str] = field(default_factory=list)
    threads: int = 0
    channels_last: bool = False
    loader_workers: int = 1
    prefetch: int = 8
    log_every: int = 25
    ema_decay: float = 0.998
    save_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    image_sizes: list[ImageSizePhase] = field(default_factory=lambda: [ImageSizePhase(until=1.0, size=128)])
    micro_batches: list[MicroBatchConfig] = field(default_factory=list)
    datasets: list[DatasetConfig] = field(default_factory=list)
    mixture: MixtureConfig = field(default_factory=MixtureConfig)
    global_batch: int = 0
    micro_batch: int = 0
    starts_from: str = ""
    image_processor: dict[str, Any] = field(default_factory=dict)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    auxiliary: AuxiliaryConfig = field(default_factory=AuxiliaryConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: got {self.steps}; at least 1 is needed")
        if self.accumulation < 1:
            raise ValueError(f"accumulation: got {self.accumulation}; at least 1 is needed")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay: got {self.ema_decay}; accepted: 0 <= ema_decay < 1")
        if self.checkpoint.best and not self.validation.every:
            raise ValueError(f"checkpoint.best: got {self.checkpoint.best!r}, which validation.every 0 never measures")
        for tracker in self.trackers:
            if tracker not in TRACKERS:
                raise ValueError(f"trackers: got {tracker!r}; accepted: {', '.join(TRACKERS)}")
        check_patterns("frozen", self.frozen)
        check_patterns("initial_weights_skip", self.initial_weights_skip)
        if self.extend_vocabulary and (self.text_weights or not self.initial_weights and not self.starts_from):
            raise ValueError("extend_vocabulary: there is nothing to extend without the tokenizer of `initial_weights`")
        self._check_initial_model()
        if self.datasets and self.micro_batches:
            raise ValueError("datasets: given together with micro_batches; a run takes its data from one of them")
        if not self.datasets and not self.micro_batches:
            raise ValueError("micro_batches: got an empty list; at least one micro-batch is needed, or `datasets`")
        if self.datasets:
            check_datasets(self.datasets, self.accumulation)
        self._check_global_batch()
        if self.architecture == "uniref_sam" and self.backbone_weights:
            raise ValueError(
                "backbone_weights: a SAM brings more than a backbone; make a folder of it with `uniref convert` "
                "and name that in initial_weights"
            )
        check_micro_batches(self.micro_batches, self.sampling)
        check_image_sizes(self.image_sizes)

    def _check_initial_model(self) -> None:
        if not self.takes_initial_model:
            return
        reason = "an adapter is for a model as it is" if self.peft else "architecture is initial_weights"
        for option in ("backbone_weights", "text_weights", "initial_weights_skip", "extend_vocabulary"):
            if getattr(self, option):
                raise ValueError(f"{option}: got {getattr(self, option)!r}, but {reason}; leave it out")
        if self.peft and self.freeze != "full":
            raise ValueError(f"freeze: got {self.freeze!r} with an adapter, beside which everything is frozen already")

    def _check_global_batch(self) -> None:
        if self.global_batch < 0 or self.micro_batch < 0:
            raise ValueError(
                f"global_batch, micro_batch: got {self.global_batch} and {self.micro_batch}; accepted: 0 (not set) or "
                "more"
            )
        if self.global_batch and not self.datasets:
            raise ValueError("global_batch: the run has no datasets; `micro_batches` say how large their steps are")
        if self.micro_batch and not self.global_batch:
            raise ValueError("micro_batch: needs global_batch, which it divides; without it set accumulation")
        sizes = {dataset.batch_size for dataset in self.datasets if dataset.weight}
        if self.global_batch and len(sizes) > 1:
            raise ValueError(
                f"global_batch: sets one batch size for all datasets, and they have {sorted(sizes)}; leave batch_size "
                "out, or leave global_batch out and set accumulation"
            )

    def image_size(self, step: int) -> int:
        """Width and height in pixels of the scenes at `step` (0-based)."""
        for phase in self.image_sizes:
            if step < phase.until * self.steps:
                return phase.size
        return self.image_sizes[-1].size

    def easy_share(self, step: int) -> float:
        """Share of easy scenes at `step`."""
        sampling = self.sampling
        progress = min(1.0, step / max(1.0, sampling.easy_share_until * self.steps))
        return sampling.easy_share_start + (sampling.easy_share_end - sampling.easy_share_start) * progress

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, as written next to a run."""
        values = dataclasses.asdict(self)
        return {name: values.pop(name) for name in ("name", "steps")} | values


def load_config(name_or_path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> TrainingConfig:
    """Read a bundled configuration by name, or a YAML file by path, and apply `overrides` ("dotted.key=value").

    A file with a line `base: NAME_OR_PATH` says only what differs from that other one: its sections are merged, its
    lists take the place of the other's. Paths may be relative to the file.

    Raises:
        FileNotFoundError: neither a bundled name nor a file.
        ValueError, TypeError: an unknown option, a value of the wrong type or without sense; the option is named.
    """
    values = read_values(name_or_path)
    for override in overrides:
        apply_override(values, override)
    return config_from_dict(values)


def config_from_dict(values: dict[str, Any]) -> TrainingConfig:
    """The configuration with these options, the inverse of `to_dict`; what is left out gets its default.

    Raises:
        ValueError, TypeError: an unknown option, a value of the wrong type or without sense; the option is named.
    """
    return build(TrainingConfig, values)
