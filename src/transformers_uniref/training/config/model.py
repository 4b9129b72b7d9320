"""The model of a run: sizes of its text encoder and backbone, start values and weights, what of it is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .loop import AdapterSection


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
class InitialisationConfig:
    """Training-only start values of UniFusion and of the mask controller, see `training/model/initialisation.py`."""

    fusion_identity: bool = True
    noise: float = 0.02
    gate: float = 0.0
    controller_scale: float = 0.1


@dataclass(kw_only=True)
class ModelOptions:
    """What decides about a run's model and tokenizer; [`TrainingConfig`] has these options and explains them."""

    architecture: Literal["uniref", "uniref_sam", "initial_weights"] = "uniref"
    seed: int = 0
    gradient_checkpointing: bool = False
    freeze: Literal["released", "fusion", "decoder", "full"] = "full"
    frozen: list[str] = field(default_factory=list)
    peft: AdapterSection = field(default_factory=AdapterSection)
    attention: Literal["eager", "sdpa"] = "eager"
    initial_weights: str = ""
    initial_weights_skip: list[str] = field(default_factory=list)
    starts_from: str = ""
    extend_vocabulary: bool = False
    backbone_weights: str = ""
    text_weights: str = ""
    model: dict[str, Any] = field(default_factory=dict)
    audio_extractor: dict[str, Any] = field(default_factory=dict)
    audio_start_steps: int = 0
    text: TextConfig = field(default_factory=TextConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    initialisation: InitialisationConfig = field(default_factory=InitialisationConfig)

    @property
    def takes_initial_model(self) -> bool:
        """Whether the model is that of `initial_weights`, its configuration included."""
        return self.architecture == "initial_weights" or bool(self.peft)
