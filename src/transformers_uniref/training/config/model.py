"""Sections of the model that a run builds: sizes of its text encoder and backbone, start values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


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
