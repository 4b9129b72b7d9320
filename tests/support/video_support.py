"""A tiny model whose random weights make lively masks, and a drawn clip, for the tests of the video session."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from transformers_uniref.modeling.configuration_uniref import UniRefConfig
from transformers_uniref.modeling.modeling_uniref import UniRefModel
from transformers_uniref.modeling.video.session import UniRefVideoSession
from transformers_uniref.processors.image_processing_uniref import UniRefImageProcessorPil

HEIGHT, WIDTH = 60, 90
NETWORK_SIZE = {"shortest_edge": 48, "longest_edge": 107}
SENTENCES = ([2, 7, 9, 3], [2, 11, 5, 8, 14, 3], [2, 19, 3])


def tiny_config() -> UniRefConfig:
    return UniRefConfig(
        backbone_config={
            "model_type": "resnet",
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
        },
        text_config={
            "model_type": "bert",
            "vocab_size": 40,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 80,
        },
        d_model=32,
        value_encoder_widths=[16, 16, 32, 32],
        value_encoder_depths=[1, 1, 1, 1],
        fusion_heads=2,
        fusion_head_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        attention_heads=4,
        num_points=2,
        ffn_dim=32,
        num_queries=8,
    )


@lru_cache(maxsize=1)
def tiny_model() -> UniRefModel:
    """Random, but neither silent (references matter, masks are not empty) nor noisy; in evaluation mode."""
    torch.manual_seed(0)
    model = UniRefModel(tiny_config())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            elif "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * noise)
            else:
                parameter.copy_(0.1 * noise)
        model.fusion.modulation.weight.mul_(2)
        model.fusion.modulation.bias.mul_(4)
        last = model.mask_head.controller.layers[-1]
        last.weight.mul_(0.3)  # its first outputs multiply coordinates of up to a hundred pixels
        model.mask_head.mask_conv.weight.mul_(4)
        for head in model.class_heads:
            head.bias.fill_(0.5)
    return model.eval()


def image_processor() -> UniRefImageProcessorPil:
    return UniRefImageProcessorPil(size=NETWORK_SIZE)


@lru_cache(maxsize=1)
def background() -> np.ndarray:
    random = np.random.default_rng(3)
    coarse = random.integers(0, 200, (6, 9, 3)).repeat(HEIGHT // 6, 0).repeat(WIDTH // 9, 1)
    return (coarse + random.integers(0, 40, coarse.shape)).astype(np.uint8)


def disc(frame: int, obj_id: int) -> np.ndarray:
    """Where object `obj_id` is in a frame: bool (H, W)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centre_y, centre_x = 15 + 12 * obj_id, 20 + 17 * obj_id + 2 * frame * (-1) ** obj_id
    return (y - centre_y) ** 2 + (x - centre_x) ** 2 <= (6 + 2 * obj_id) ** 2


def clip(frames: int = 6) -> list[np.ndarray]:
    """uint8 (H, W, 3) pictures of three moving discs."""
    pictures = []
    for index in range(frames):
        picture = background().copy()
        for obj_id in (1, 2, 3):
            picture[disc(index, obj_id)] = np.roll([240, 30, 90], obj_id)
        pictures.append(picture)
    return pictures


def offline(frames: int = 6, **options: object) -> UniRefVideoSession:
    return UniRefVideoSession(clip(frames), image_processor(), **options)


def stream(**options: object) -> UniRefVideoSession:
    return UniRefVideoSession(None, image_processor(), **options)


def add_mask(session: UniRefVideoSession, obj_id: int, frame: int = 0) -> None:
    session.add_mask(frame, obj_id, torch.from_numpy(disc(frame, obj_id)))


def add_text(session: UniRefVideoSession, obj_id: int, frame: int = 0, sentence: int = 0) -> None:
    session.add_text(frame, obj_id, torch.tensor([SENTENCES[sentence]]))
