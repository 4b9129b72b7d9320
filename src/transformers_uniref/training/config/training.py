"""The training configuration: the options of a run, its sections, and what they have to agree on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...core.errors import UsageError
from .feed import DataOptions
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
from .values import apply_override, build, bundled_configs, read_values


@dataclass
class TrainingConfig(DataOptions, ModelOptions):
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
        audio_extractor: what a model that hears makes of sounds, as `processor_config.json` says it; empty: that of
            `initial_weights`, or else log-mel spectrograms of 64 bands.
        audio_start_steps: before the first step, so many of the audio encoder alone, in which it learns to give the
            tokens of the sentence that names what sounds; see `training/model/audio_start.py`.
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
    sharding: Literal["none", "fsdp2"] = "none"
    on_nonfinite: Literal["stop", "skip"] = "stop"
    trackers: list[str] = field(default_factory=list)
    threads: int = 0
    channels_last: bool = False
    log_every: int = 25
    ema_decay: float = 0.998
    save_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    image_processor: dict[str, Any] = field(default_factory=dict)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    auxiliary: AuxiliaryConfig = field(default_factory=AuxiliaryConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    pictures: PicturesConfig = field(default_factory=PicturesConfig)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UsageError(f"steps: got {self.steps}; at least 1 is needed")
        if self.accumulation < 1:
            raise UsageError(f"accumulation: got {self.accumulation}; at least 1 is needed")
        if not 0.0 <= self.ema_decay < 1.0:
            raise UsageError(f"ema_decay: got {self.ema_decay}; accepted: 0 <= ema_decay < 1")
        if self.checkpoint.best and not self.validation.every:
            raise UsageError(f"checkpoint.best: got {self.checkpoint.best!r}, which validation.every 0 never measures")
        for tracker in self.trackers:
            if tracker not in TRACKERS:
                raise UsageError(f"trackers: got {tracker!r}; accepted: {', '.join(TRACKERS)}")
        check_patterns("frozen", self.frozen)
        check_patterns("initial_weights_skip", self.initial_weights_skip)
        if self.extend_vocabulary and (self.text_weights or not self.initial_weights and not self.starts_from):
            raise UsageError("extend_vocabulary: there is nothing to extend without the tokenizer of `initial_weights`")
        self._check_initial_model()
        if self.architecture == "uniref_sam" and self.backbone_weights:
            raise UsageError(
                "backbone_weights: a SAM brings more than a backbone; make a folder of it with `uniref convert` "
                "and name that in initial_weights"
            )
        self.check_data()

    def _check_initial_model(self) -> None:
        if not self.takes_initial_model:
            return
        reason = "an adapter is for a model as it is" if self.peft else "architecture is initial_weights"
        for option in ("backbone_weights", "text_weights", "initial_weights_skip", "extend_vocabulary"):
            if getattr(self, option):
                raise UsageError(f"{option}: got {getattr(self, option)!r}, but {reason}; leave it out")
        if self.peft and self.freeze != "full":
            raise UsageError(f"freeze: got {self.freeze!r} with an adapter, beside which everything is frozen already")

    @property
    def size(self) -> str:
        """Steps, images a step, and their short sides, such as "90,000 steps of 32 images, 480 to 800 pixels"."""
        if self.datasets:
            images = self.global_batch or self.mixture.batches * max(d.batch_size for d in self.datasets)
            sides = sorted(side for dataset in self.datasets if dataset.weight for side in dataset.short_sides)
            shown = f"{images} images"
        else:
            scenes = sum(sum(batch.scenes.values()) / batch.every for batch in self.micro_batches)
            sides = sorted(phase.size for phase in self.image_sizes)
            shown = f"{scenes:g} scenes"
        pixels = f"{sides[0]}" if sides[0] == sides[-1] else f"{sides[0]} to {sides[-1]}"
        return f"{self.steps:,} steps of {shown}, {pixels} pixels"

    def unset_options(self) -> list[str]:
        """What the recipe leaves to its user and was not given: lines that begin with the options' names."""
        unset = [
            f"datasets.{position}.source ({dataset.name})"
            for position, dataset in enumerate(self.datasets)
            if dataset.weight and not dataset.source
        ]
        if self.validation.every:
            unset += [
                f"validation.datasets.{position}.source ({dataset.name})"
                for position, dataset in enumerate(self.validation.datasets)
                if not dataset.source
            ]
        missing = []
        if unset:
            missing.append(
                f"{', '.join(unset)}: folders, Parquet files or Hub ids; a dataset that is not at hand is left out "
                "with datasets.N.weight=0"
            )
        if self.sampling.photo_share and not self.sampling.photo_folder:
            missing.append(
                "sampling.photo_folder: sequences with masks, see worlds/photo/world.py (or sampling.photo_share=0)"
            )
        if any(micro_batch.domain for micro_batch in self.micro_batches) and not self.sampling.photographs:
            missing.append("sampling.photographs: folders of photographs with masks, see worlds/photographs/folders.py")
        if self.takes_initial_model and not self.initial_weights and not self.starts_from:
            kind = "that the adapter is for" if self.peft else "to be trained"
            missing.append(f"initial_weights: folder, Hub id or bundled name of the model {kind}")
        if self.starts_from and not self.initial_weights and not self.backbone_weights:
            if self.starts_from in bundled_configs():
                folder = f"the folder `final` of a run of {self.starts_from}"
            else:
                folder = f"the folder that `{self.starts_from}` writes"
            instead = " (or start from a public backbone: backbone_weights)" if self.architecture == "uniref" else ""
            missing.append(f"initial_weights: {folder}{instead}")
        return missing

    def require_complete(self) -> None:
        """Refuse a run that was not told everything.

        Raises:
            ValueError: names every option that has to be set.
        """
        missing = self.unset_options()
        if missing:
            raise UsageError(f"{self.name} leaves to be set with `overrides`: {'; '.join(missing)}")

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
