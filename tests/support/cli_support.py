"""A model folder that loads like a real one and is small enough for every test."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import BertConfig, ResNetConfig

from processor_support import WORDS, picture, small_processor
from transformers_uniref import UniRefConfig, UniRefModel


def uniref_arguments(line: str) -> list[str]:
    """What a shell would hand to `uniref` out of a line of documentation."""
    words = shlex.split(line, comments=True)
    words = words[words.index("uniref") + 1 :]
    ends = [index for index, word in enumerate(words) if word in (">", "|", "&&", "2>")]
    return words[: ends[0]] if ends else words


def tiny_config(words: int = len(WORDS), d_model: int = 32) -> UniRefConfig:
    return UniRefConfig(
        backbone_config=ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1]),
        text_config=BertConfig(
            vocab_size=words, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        ),
        d_model=d_model,
        value_encoder_widths=[8, 8, 16, 16],
        value_encoder_depths=[1, 1, 1, 1],
        fusion_heads=2,
        fusion_head_dim=8,
        encoder_layers=1,
        decoder_layers=1,
        attention_heads=4,
        num_points=2,
        ffn_dim=32,
        num_queries=8,
    )


def content(folder: str | Path) -> dict[str, bytes]:
    """Every file in a folder by its path there."""
    folder = Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def frame(index: int) -> np.ndarray:
    """uint8 (H, W, 3) of a clip in which everything moves to the right."""
    return np.roll(picture(), 2 * index, axis=1)


def write_frames(folder: Path, count: int) -> None:
    """A new folder with the first frames of that clip."""
    folder.mkdir()
    for index in range(count):
        Image.fromarray(frame(index)).save(folder / f"{index:05d}.png")


def save_tiny_checkpoint(folder: Path) -> Path:
    """Writes model and processor; the weights are random but always the same.

    The gates of the fusion are open and the scores apart. In a new model all references find the same and all queries
    score the same, and which of two equal answers wins is a matter of the last bit.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UniRefModel(tiny_config())
        for parameter in model.fusion.modulation.parameters():
            torch.nn.init.normal_(parameter)
        for head in model.class_heads:
            head.weight.data.mul_(30)
        model.save_pretrained(folder)
    processor = small_processor()
    processor.score_threshold = 0.001  # what random weights are sure of passes
    processor.save_pretrained(folder)
    return folder
