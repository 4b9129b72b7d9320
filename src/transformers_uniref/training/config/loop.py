"""Options of the loop: optimiser and schedule, start weights, checkpoints, validation, pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ...core.errors import UsageError
from .data import DatasetConfig

TRACKERS = ("tensorboard", "wandb", "trackio")


def check_patterns(where: str, patterns: Iterable[str]) -> None:
    """Refuse what is no regular expression.

    Raises:
        ValueError: the first such pattern is named.
    """
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{where}: {pattern!r} is no regular expression ({error})") from None


@dataclass
class AdapterSection:
    """Parameter-efficient fine-tuning: an adapter is trained and saved, the model it is in is not.

    Attributes:
        preset: a name of `transformers_uniref.adapters.adapter_presets`; empty: `config` says all.
        config: arguments of a PEFT configuration: with a preset those that change it, without one all of them, with
            their `peft_type`. Both empty: no adapter.
    """

    preset: Literal["", "lora", "dora", "lora-light"] = ""
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.config and not self.preset and "peft_type" not in self.config:
            raise UsageError("peft.config: needs a `peft_type`, such as LORA or IA3, or a preset that it changes")

    def __bool__(self) -> bool:
        return bool(self.preset or self.config)


@dataclass
class ParameterGroupConfig:
    """A learning rate of its own for the parameters whose name `pattern` (a regular expression) is found in.

    Attributes:
        pattern: searched in the state-dict name, such as `visual_encoder.backbone` or `sampling_offsets`.
        factor: of `optimizer.learning_rate`.
        learning_rate: takes the place of `factor` times the base rate; 0: not set. The schedule applies to it too.
        weight_decay: takes the place of `optimizer.weight_decay`; negative: not set.
    """

    pattern: str
    factor: float = 1.0
    learning_rate: float = 0.0
    weight_decay: float = -1.0

    def __post_init__(self) -> None:
        check_patterns("optimizer.groups.pattern", [self.pattern])
        if self.factor <= 0 or self.learning_rate < 0:
            raise UsageError(
                f"optimizer.groups: got factor={self.factor}, learning_rate={self.learning_rate} for {self.pattern!r}; "
                "accepted: a factor above 0, a rate of 0 (not set) or above; to train nothing of it use `frozen`"
            )


@dataclass
class OptimizerConfig:
    """AdamW and its schedule.

    Attributes:
        learning_rate: base rate, reached after the warm-up.
        betas, eps: of AdamW.
        weight_decay: of the parameters that decay.
        decay: `matrices` (weights of linear maps and convolutions) or `all` (norms, biases and embeddings too, as the
            released code does).
        groups: rates of their own by name; the first group whose pattern fits takes a parameter.
        gradient_clip: largest norm of the whole gradient; 0: no clipping.
        schedule: `cosine` (from 1 to `final_share` at the last step), `step` (times `milestone_factor` at each of
            `milestones`) or `constant`.
        warmup_steps: linear rise from 0 before the schedule; 0: none.
        final_share: where the cosine ends.
        milestones: steps at which the rate falls.
        milestone_factor: by how much it falls.
    """

    learning_rate: float = 6e-4
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    eps: float = 1e-8
    weight_decay: float = 0.03
    decay: Literal["matrices", "all"] = "matrices"
    groups: list[ParameterGroupConfig] = field(default_factory=list)
    gradient_clip: float = 5.0
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    warmup_steps: int = 200
    final_share: float = 0.05
    milestones: list[int] = field(default_factory=list)
    milestone_factor: float = 0.1

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise UsageError(f"optimizer.learning_rate: got {self.learning_rate}; accepted: above 0")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError(f"optimizer.betas: got {self.betas}; accepted: two numbers from 0 to below 1")
        if self.gradient_clip < 0 or self.warmup_steps < 0:
            raise UsageError(
                f"optimizer: got gradient_clip={self.gradient_clip}, warmup_steps={self.warmup_steps}; accepted: 0 "
                "(none) or more"
            )
        if self.milestones != sorted(set(self.milestones)) or (self.milestones and self.milestones[0] < 1):
            raise UsageError(f"optimizer.milestones: got {self.milestones}; accepted: rising steps from 1 on")
        if (self.schedule == "step") != bool(self.milestones):
            raise UsageError(
                f"optimizer.milestones: got {self.milestones} with schedule {self.schedule!r}; the schedule `step` "
                "needs them, and no other uses them"
            )


@dataclass
class ValidationConfig:
    """A small fixed validation every `every` steps (0: never) with the averaged weights.

    Attributes:
        images, few_shot, clips: held-out scenes of the drawn world, and as many of photographs where the run learns
            from these; `clips` also of each of `datasets` that holds clips.
        size: width and height of the scenes in pixels.
        batch_size: scenes of a batch.
        datasets: what else is measured, or all that is where the run itself is made of `datasets`. Sections as there;
            rows are measured as they are, without crops, flips and colours, `batch_size` at a time. Their numbers are
            called `NAME/ris/iou` and so on. Not streamed.
        rows: rows of each of `datasets`, spread evenly over it; 0: all.
    """

    every: int = 500
    images: int = 64
    few_shot: int = 32
    clips: int = 8
    size: int = 128
    batch_size: int = 32
    datasets: list[DatasetConfig] = field(default_factory=list)
    rows: int = 64

    def __post_init__(self) -> None:
        least_of = {"every": 0, "images": 0, "few_shot": 0, "clips": 0, "size": 64, "batch_size": 1, "rows": 0}
        for option, least in least_of.items():
            if getattr(self, option) < least:
                raise UsageError(f"validation.{option}: got {getattr(self, option)}; accepted: at least {least}")
        names = [dataset.name for dataset in self.datasets]
        for position, dataset in enumerate(self.datasets):
            where = f"validation.datasets[{position}]"
            if dataset.name == "photo" or names.count(dataset.name) > 1:
                raise UsageError(
                    f"{where}.name: got {dataset.name!r}; accepted: a name that is used once and not `photo`"
                )
            if dataset.streaming:
                raise UsageError(
                    f"{where}.streaming: rows are taken from all over the dataset; set streaming: false and `samples` "
                    "or `split`, or save some rows of it to a folder"
                )


@dataclass
class CheckpointConfig:
    """A resumable checkpoint every `every` steps and at interruption.

    The `keep` newest stay. With `best`, the name of a number of the validation such as `ris/iou`, the checkpoint with
    the highest (`best_is: max`) or lowest (`min`) value stays too, and the run ends with its averaged weights in
    `best/` beside `final/`.
    """

    every: int = 250
    keep: int = 2
    best: str = ""
    best_is: Literal["max", "min"] = "max"

    def __post_init__(self) -> None:
        if self.every < 1 or self.keep < 1:
            raise UsageError(f"checkpoint: got every={self.every}, keep={self.keep}; accepted: 1 or more")

    def is_better(self, value: float, than: float | None) -> bool:
        """Whether `value` of the measure `best` beats the best so far (None: there is none)."""
        if than is None:
            return True
        return value > than if self.best_is == "max" else value < than


@dataclass
class PicturesConfig:
    """Every `every` steps (0: never), `entries` of the step's entries as a picture of reference, truth, prediction."""

    every: int = 0
    entries: int = 6


def flattened(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries and lists as one dictionary of dotted names, the names that overrides take."""
    if isinstance(values, dict):
        items: Iterable[tuple[Any, Any]] = values.items()
    elif isinstance(values, list):
        items = enumerate(values)
    else:
        return {prefix: values}
    flat: dict[str, Any] = {}
    for name, value in items:
        flat |= flattened(value, f"{prefix}.{name}" if prefix else str(name))
    return flat or {prefix: values}
