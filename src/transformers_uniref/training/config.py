"""The training configuration: dataclasses filled from YAML, changed by dotted overrides, strict about names."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from .config_data import DatasetConfig, MixtureConfig, check_datasets
from .config_loop import (
    TRACKERS,
    AdapterSection,
    CheckpointConfig,
    OptimizerConfig,
    PicturesConfig,
    ValidationConfig,
    check_patterns,
)

TASKS = ("ris", "fss", "vos", "rvos", "rvos_text")
SHARES = ("photo_share", "stale_share", "scrap_share", "predicted_share")
REFERENCES_OF_TASK = {"ris": "language", "rvos_text": "language", "fss": "mask", "vos": "mask", "rvos": "both"}
"""The references that a task gives to the model; one micro-batch holds tasks of one kind only."""


@dataclass
class TextConfig:
    """Size of the BERT text encoder; the vocabulary size comes from the tokenizer.

    `config`, where given, holds the arguments of a Transformers text configuration (`model_type: bert` and so on)
    instead; with `text_weights` it changes single values of theirs.
    """

    hidden_size: int = 128
    layers: int = 2
    heads: int = 4
    intermediate_size: int = 256
    dropout: float = 0.1
    config: dict[str, Any] = field(default_factory=dict)


@dataclass
class BackboneConfig:
    """Size of the ResNet backbone (strides 4, 8, 16, 32).

    `config`, where given, holds the arguments of a Transformers backbone configuration (`model_type: swin` and so on)
    instead; with `backbone_weights` it changes single values of theirs.
    """

    embedding_size: int = 32
    hidden_sizes: list[int] = field(default_factory=lambda: [32, 64, 96, 128])
    depths: list[int] = field(default_factory=lambda: [1, 2, 2, 2])
    layer_type: Literal["basic", "bottleneck"] = "basic"
    config: dict[str, Any] = field(default_factory=dict)


@dataclass
class ImageSizePhase:
    """Scenes are drawn `size` pixels wide and high until the share `until` (0 to 1] of all steps is done."""

    until: float
    size: int


@dataclass
class MicroBatchConfig:
    """One forward and backward pass of every optimiser step.

    `scenes` says how many scenes of each task it holds; all its tasks must give the model the same kind of references
    (sentences: ris, rvos_text; masks: fss, vos; both: rvos). `weight` multiplies its loss. It takes part in the steps
    `offset`, `offset + every`, `offset + 2 * every`, ...

    `size` is the side of its scenes in pixels (0: as `image_sizes` says), `photo_share` the share of them that is drawn
    from photographs (None: as the section `sampling` says).
    """

    scenes: dict[str, int]
    weight: float = 1.0
    every: int = 1
    offset: int = 0
    size: int = 0
    photo_share: float | None = None


@dataclass
class SamplingConfig:
    """How scenes become samples. Shares are probabilities in [0, 1].

    Attributes:
        objects_per_scene: objects of one scene or clip that are asked for (one entry of the batch each).
        absent_share: extra sentences that fit no object, a scene (trains the score).
        hidden_share: share of clips with a mask reference for which frames are sought that hide an object
            (with `absent_share`, it is asked for). Without it the score learns little about videos.
        easy_share_start, easy_share_end: share of easy scenes at step 0 and from `easy_share_until` of all steps on,
            linear in between.
        shots: probability of 1, 2, 3, ... mask references in a micro-batch.
        clip_shots: the same where the micro-batch holds clips alone; empty: `shots`. A propagation has two references
            (the first frame and the one before) in all frames but one.
        stale_share: share of clips whose later references are up to three frames older, as they are in a propagation
            through frames that hide the object.
        random_shape_share: share of few-shot scenes whose category is a randomly drawn shape without a name.
        corrupted_share: share of `vos` references that are shifted, grown, shrunk, or spilt over another object.
        conflict_share: share of `rvos` samples whose mask belongs to another object than the sentence, or is corrupted.
        predicted_share: share of the entries of a clip with two or more mask references whose later ones carry the mask
            that the model itself gives to that frame, as in a propagation, instead of the true or a corrupted one.
        clip_frames: length of a clip.
        photo_folder: folder of sequences with masks for a second domain, photographs; see `data/photoworld.py`.
        photo_share: share of training scenes that are drawn from it.
        photo_shares: the same for single tasks, such as `{vos: 0.6}`; the others keep `photo_share`.
        scrap_share: share of photographed `vos` clips whose pasted objects are nameless scraps of photographs.
        photo_validation: sequences of it that are never trained on and measured by the validation; empty: those that
            [`PhotoWorld`] holds out by default.
    """

    objects_per_scene: int = 2
    absent_share: float = 0.3
    hidden_share: float = 0.0
    easy_share_start: float = 0.6
    easy_share_end: float = 0.1
    easy_share_until: float = 0.5
    shots: list[float] = field(default_factory=lambda: [0.7, 0.2, 0.1])
    clip_shots: list[float] = field(default_factory=list)
    stale_share: float = 0.0
    random_shape_share: float = 0.4
    corrupted_share: float = 0.3
    conflict_share: float = 0.3
    predicted_share: float = 0.0
    clip_frames: int = 8
    photo_folder: str = ""
    photo_share: float = 0.0
    photo_shares: dict[str, float] = field(default_factory=dict)
    scrap_share: float = 0.0
    photo_validation: list[str] = field(default_factory=list)


@dataclass
class AuxiliaryConfig:
    """A training-only linear head on the fused features, never saved with the model; `weight` 0 switches it off."""

    weight: float = 1.0
    levels: int = 2
    final_share: float = 0.2


@dataclass
class LossPhase:
    """Loss weights from step `start` on: alignment of sentences and of examples (0: off), and the class loss."""

    start: int = 0
    sentences: float = 0.0
    examples: float = 0.0
    class_loss: float = 2.0


@dataclass
class AlignmentConfig:
    """Training-only losses on the fusion's queries and keys, see `training/alignment.py`.

    They act on the finest `levels` levels. Their weights, set by `phases`, are multiplied by a factor that falls
    linearly from 1 at the first step to `final_share` at the last. Without phases there is no such loss.
    """

    levels: int = 2
    final_share: float = 0.2
    phases: list[LossPhase] = field(default_factory=list)

    def __post_init__(self) -> None:
        starts = [phase.start for phase in self.phases]
        if starts != sorted(set(starts)) or (starts and starts[0] != 0):
            raise ValueError(f"alignment.phases: `start` values must begin at 0 and rise, got {starts}")

    def phase(self, step: int) -> LossPhase | None:
        """The weights at `step`; None without phases."""
        return next((phase for phase in reversed(self.phases) if step >= phase.start), None)


@dataclass
class InitialisationConfig:
    """Training-only start values of UniFusion and of the mask controller, see `training/initialisation.py`."""

    fusion_identity: bool = True
    noise: float = 0.02
    gate: float = 0.0
    controller_scale: float = 0.1


@dataclass
class TrainingConfig:
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
            number of processes, see `training/rescaling.py`; 0: they are as given.
        micro_batch: with `global_batch`, most images that a process has in one forward and backward pass; 0: any.
        starts_from: the recipe whose `final` folder `initial_weights` has to name, or the command that writes such a
            folder; such a run does not start from random weights by mistake.
        image_processor: arguments of the image processor in `final/`, such as `size`; by default its pictures have the
            side that `image_sizes` ends with.
    """

    name: str
    steps: int
    architecture: Literal["uniref", "uniref_sam", "initial_weights"] = "uniref"
    seed: int = 0
    mixed_precision: Literal["no", "bf16", "fp16"] = "bf16"
    gradient_checkpointing: bool = False
    compile: str = ""
    accumulation: int = 1
    sharding: Literal["none", "fsdp2"] = "none"
    on_nonfinite: Literal["stop", "skip"] = "stop"
    trackers: list[str] = field(default_factory=list)
    freeze: Literal["released", "fusion", "decoder", "full"] = "full"
    frozen: list[str] = field(default_factory=list)
    peft: AdapterSection = field(default_factory=AdapterSection)
    threads: int = 0
    channels_last: bool = False
    attention: Literal["eager", "sdpa"] = "eager"
    loader_workers: int = 1
    prefetch: int = 8
    log_every: int = 25
    ema_decay: float = 0.998
    initial_weights: str = ""
    initial_weights_skip: list[str] = field(default_factory=list)
    extend_vocabulary: bool = False
    backbone_weights: str = ""
    text_weights: str = ""
    save_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    model: dict[str, Any] = field(default_factory=dict)
    text: TextConfig = field(default_factory=TextConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
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
    initialisation: InitialisationConfig = field(default_factory=InitialisationConfig)
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
                "backbone_weights: a SAM brings more than a backbone; make a folder of it with `uniref convert --sam` "
                "and name that in initial_weights"
            )
        if self.micro_batches and all(micro_batch.every > 1 for micro_batch in self.micro_batches):
            raise ValueError("micro_batches: one of them must take part in every step (every: 1)")
        for position, micro_batch in enumerate(self.micro_batches):
            where = f"micro_batches[{position}].scenes"
            unknown = sorted(set(micro_batch.scenes) - set(TASKS))
            if unknown:
                raise ValueError(f"{where}: unknown task {unknown[0]!r}; tasks are {', '.join(TASKS)}")
            if not micro_batch.scenes or min(micro_batch.scenes.values()) < 1:
                raise ValueError(f"{where}: got {micro_batch.scenes}; every task needs at least one scene")
            if not 0 <= micro_batch.offset < micro_batch.every:
                raise ValueError(
                    f"micro_batches[{position}]: got every={micro_batch.every}, offset={micro_batch.offset}; accepted: "
                    "every at least 1, offset from 0 to every - 1"
                )
            share = micro_batch.photo_share or 0.0
            if not 0 <= share <= 1:
                raise ValueError(f"micro_batches[{position}].photo_share: got {share}; accepted: 0 to 1")
            if share and not self.sampling.photo_share:
                where_share = f"micro_batches[{position}].photo_share"
                raise ValueError(f"{where_share}: given without sampling.photo_share; accepted with one above 0")
            if micro_batch.size < 0:
                raise ValueError(f"micro_batches[{position}].size: got {micro_batch.size}; accepted: pixels, or 0")
            if len({REFERENCES_OF_TASK[task] for task in micro_batch.scenes}) > 1:
                raise ValueError(
                    f"{where}: got {', '.join(micro_batch.scenes)}, which give different kinds of references; "
                    "put them in separate micro-batches"
                )
        ends = [phase.until for phase in self.image_sizes]
        if not ends or ends != sorted(ends) or ends[-1] < 1.0:
            raise ValueError(f"image_sizes: `until` values must rise and end at 1.0, got {ends}")
        for option in ("shots", "clip_shots"):
            shares = getattr(self.sampling, option)
            if (shares or option == "shots") and abs(sum(shares) - 1.0) > 1e-6:
                raise ValueError(f"sampling.{option}: probabilities must sum to 1, got {shares}")
        shares = {option: getattr(self.sampling, option) for option in SHARES}
        for task, share in self.sampling.photo_shares.items():
            if task not in TASKS:
                raise ValueError(f"sampling.photo_shares: unknown task {task!r}; tasks are {', '.join(TASKS)}")
            shares[f"photo_shares.{task}"] = share
        for option, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"sampling.{option}: got {share}; accepted: 0 to 1")
        if self.sampling.photo_shares and not self.sampling.photo_share:
            raise ValueError("sampling.photo_shares: given without sampling.photo_share; accepted with one above 0")

    @property
    def takes_initial_model(self) -> bool:
        """Whether the model is that of `initial_weights`, its configuration included."""
        return self.architecture == "initial_weights" or bool(self.peft)

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
        return dataclasses.asdict(self)


def _build(kind: Any, value: Any, where: str) -> Any:
    """Convert a YAML value to the annotated type `kind`, naming `where` in every error."""
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise TypeError(f"{where}: expected a mapping, got {type(value).__name__}")
        hints = typing.get_type_hints(kind)
        unknown = sorted(set(map(str, value)) - set(hints))
        if unknown:
            name = f"{where}.{unknown[0]}".lstrip(".")
            raise ValueError(f"{name}: unknown option; {_nearest(unknown[0], hints)}known here: {', '.join(hints)}")
        arguments = {name: _build(hints[name], part, f"{where}.{name}".lstrip(".")) for name, part in value.items()}
        missing = [
            f.name
            for f in dataclasses.fields(kind)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in arguments
        ]
        if missing:
            raise ValueError(f"{where or 'configuration'}: missing {', '.join(missing)}")
        return typing.cast(Any, kind)(**arguments)
    origin = typing.get_origin(kind)
    if origin is types.UnionType:  # only ever a type or nothing
        (inner,) = (one for one in typing.get_args(kind) if one is not type(None))
        return None if value is None else _build(inner, value, where)
    if origin is Literal:
        choices = typing.get_args(kind)
        # YAML reads a bare `no` as False.
        value = "no" if value is False and "no" in choices else value
        if value not in choices:
            raise ValueError(f"{where}: got {value!r}; accepted: {', '.join(map(repr, choices))}")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise TypeError(f"{where}: expected a list, got {type(value).__name__}")
        (inner,) = typing.get_args(kind)
        return [_build(inner, part, f"{where}[{position}]") for position, part in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{where}: expected a mapping, got {type(value).__name__}")
        _, inner = typing.get_args(kind)
        return {str(name): _build(inner, part, f"{where}.{name}") for name, part in value.items()}
    if kind is Any:
        return value
    if kind is str and value is None:
        return ""  # `--override backbone_weights=` takes a text away
    if kind is float and not isinstance(value, bool):
        try:
            return float(value)  # also "6e-4", which YAML reads as text
        except (TypeError, ValueError):
            pass
    elif (kind is int and isinstance(value, int) and not isinstance(value, bool)) or (
        kind in (bool, str) and isinstance(value, kind)
    ):
        return value
    raise TypeError(f"{where}: expected {kind.__name__}, got {value!r} ({type(value).__name__})")


def _option_names(kind: Any, prefix: str = "") -> dict[str, str]:
    """Dotted names of all options of a section and its sections, with their last parts."""
    names = {}
    for name, hint in typing.get_type_hints(kind).items():
        names[prefix + name] = name
        if dataclasses.is_dataclass(hint):
            names |= _option_names(hint, f"{prefix}{name}.")
    return names


def _nearest(name: str, known: Iterable[str]) -> str:
    """A guess at what an unknown `name` was meant to be: an option of the same section, or else one of another."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if not near:
        everywhere = _option_names(TrainingConfig)
        last = difflib.get_close_matches(name, list(everywhere.values()), n=1, cutoff=0.8)
        near = [dotted for dotted, part in everywhere.items() if last and part == last[0]]
    return f"did you mean {near[0]}? " if near else ""


def _descend(node: Any, key: str) -> Any:
    return node[int(key)] if isinstance(node, list) else node.setdefault(key, {})


def apply_override(values: dict[str, Any], override: str) -> None:
    """Change nested `values` in place by one `dotted.key=value`; list positions are numbers, values are YAML."""
    path, separator, text = override.partition("=")
    if not separator or not path:
        raise ValueError(f"override: got {override!r}; expected key=value, such as optimizer.learning_rate=1e-3")
    *parents, last = path.strip().split(".")
    node: Any = values
    try:
        for key in parents:
            node = _descend(node, key)
        value = yaml.safe_load(text)
        if isinstance(node, list):
            node[int(last)] = value
        elif isinstance(node, dict):
            node[last] = value
        else:
            raise TypeError
    except (TypeError, ValueError, IndexError, AttributeError):
        raise ValueError(f"override: {override!r} does not name an option of the configuration") from None


def bundled_configs() -> dict[str, Path]:
    """Names and files of the configurations that come with the package."""
    folder = Path(__file__).parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: path.stem)}


def _read_values(name_or_path: str | Path, derived: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The options of a file on top of those of its `base`, where it names one; `derived` are the files on the way."""
    bundled = bundled_configs()
    path = bundled.get(str(name_or_path), Path(name_or_path))
    if not path.is_file() and derived:
        path = derived[-1].parent / name_or_path
    if not path.is_file():
        raise FileNotFoundError(
            f"configuration {str(name_or_path)!r} is neither a file nor one of the bundled: {', '.join(bundled)}"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a mapping of options, got {type(values).__name__}")
    base = values.pop("base", None)
    if base is None:
        return values
    if path.resolve() in derived:
        raise ValueError(f"{path}: base: {base!r} leads back to this file")
    return _merged(_read_values(base, (*derived, path.resolve())), values)


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Mappings are merged, everything else, lists too, is taken from `above`."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def load_config(name_or_path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> TrainingConfig:
    """Read a bundled configuration by name, or a YAML file by path, and apply `overrides` ("dotted.key=value").

    A file with a line `base: NAME_OR_PATH` says only what differs from that other one: its sections are merged, its
    lists take the place of the other's. Paths may be relative to the file.

    Raises:
        FileNotFoundError: neither a bundled name nor a file.
        ValueError, TypeError: an unknown option, a value of the wrong type or without sense; the option is named.
    """
    values = _read_values(name_or_path)
    for override in overrides:
        apply_override(values, override)
    return config_from_dict(values)


def config_from_dict(values: dict[str, Any]) -> TrainingConfig:
    """The configuration with these options, the inverse of `to_dict`; what is left out gets its default.

    Raises:
        ValueError, TypeError: an unknown option, a value of the wrong type or without sense; the option is named.
    """
    return _build(TrainingConfig, values, "")
