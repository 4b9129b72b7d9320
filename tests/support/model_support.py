"""A UniRef small enough for unit tests, with weights under which every part matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from transformers_uniref import UniRefConfig, UniRefModel

VOCABULARY_SIZE = 50


def small_config(**changes: Any) -> UniRefConfig:
    """A configuration of a few hundred thousand parameters; `changes` are fields of `UniRefConfig`."""
    values: dict[str, Any] = {
        "backbone_config": {
            "model_type": "resnet",
            "embedding_size": 16,
            "hidden_sizes": [16, 24, 32, 48],
            "depths": [1, 1, 1, 1],
            "layer_type": "basic",
        },
        "text_config": {
            "model_type": "bert",
            "vocab_size": VOCABULARY_SIZE,
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "max_position_embeddings": 32,
        },
        "d_model": 64,
        "value_encoder_widths": [16, 16, 24, 32],
        "value_encoder_depths": [1, 1, 1, 1],
        "fusion_heads": 2,
        "fusion_head_dim": 24,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "attention_heads": 4,
        "num_points": 2,
        "ffn_dim": 48,
        "num_queries": 8,
        "text_length": 12,
    }
    return UniRefConfig(**{**values, **changes})


def stir(model: nn.Module, seed: int = 0) -> None:
    """Move weights and statistics away from their special starts, as training does; fusion acts, gates are open."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if not value.is_floating_point():
                continue
            noise = torch.randn(value.shape, generator=generator)
            if name.endswith("running_var"):
                value.mul_((0.1 * noise).exp())
            else:
                value.add_(0.05 * noise)
        if hasattr(model, "fusion"):
            model.fusion.modulation.bias.add_(torch.randn(model.fusion.modulation.bias.shape, generator=generator))


def small_model(seed: int = 0, **changes: Any) -> UniRefModel:
    """A `UniRefModel` of `small_config` in evaluation mode; equal seeds give equal weights."""
    torch.manual_seed(seed)
    model = UniRefModel(small_config(**changes))
    stir(model, seed)
    return model.eval()


def hollow_model(build: Callable[[], Any]) -> Any:
    """A model built without memory, then given memory that nobody has filled: floating-point values are NaN."""
    with torch.device("meta"):
        model = build()
    model.to_empty(device="cpu")
    for value in [*model.parameters(), *model.buffers()]:
        if value.is_floating_point():
            value.data.fill_(float("nan"))
    for module in model.modules():
        module._is_hf_initialized = False
    return model


def picture(batch: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Normalised random images (batch, 3, height, width)."""
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def padded(image: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`image` (B, 3, h, w) zero-padded right and below, and its pixel mask (B, height, width)."""
    canvas = image.new_zeros(image.shape[0], 3, height, width)
    canvas[..., : image.shape[-2], : image.shape[-1]] = image
    mask = torch.zeros(image.shape[0], height, width, dtype=torch.long)
    mask[:, : image.shape[-2], : image.shape[-1]] = 1
    return canvas, mask


def sentence(batch: int, length: int, seed: int = 0) -> torch.Tensor:
    """Random token ids (batch, length)."""
    return torch.randint(4, VOCABULARY_SIZE, (batch, length), generator=torch.Generator().manual_seed(seed))


def label(size: int, present: bool = True) -> dict[str, torch.Tensor]:
    """A square in the middle of a (size, size) input, or nothing."""
    mask = torch.zeros(1, size, size)
    mask[:, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = 1
    count = 1 if present else 0
    return {
        "boxes": torch.tensor([[0.5, 0.5, 0.5, 0.5]])[:count],
        "masks": mask[:count],
        "class_labels": torch.zeros(count, dtype=torch.long),
    }
