"""A UniRef-SAM of 64 x 64 pixels for unit tests, and the folders that tests load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from model_support import stir
from processor_support import WORDS, small_tokenizer
from transformers_uniref import UniRefImageProcessorPil, UniRefProcessor, UniRefSamConfig, UniRefSamModel

SIDE, WIDTH = 64, 32
HEIGHT_WIDTH = (48, 80)  # of the pictures in the tests; 38 x 64 in the network
VISION = {
    "hidden_size": 16,
    "output_channels": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "window_size": 3,
    "global_attn_indexes": [1],
    "num_pos_feats": WIDTH // 2,
    "initializer_range": 0.2,
}
PROMPT = {"hidden_size": WIDTH, "image_size": SIDE, "patch_size": 16}
DECODER = {"hidden_size": WIDTH, "mlp_dim": 32, "num_attention_heads": 4, "iou_head_hidden_dim": 16}
TEXT = {
    "model_type": "bert",
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 80,
}


def sam_config(**changes: Any) -> UniRefSamConfig:
    """`changes` are fields of `UniRefSamConfig`."""
    values: dict[str, Any] = {
        "vision_config": {"model_type": "sam_vision_model", **VISION},
        "prompt_encoder_config": PROMPT,
        "mask_decoder_config": DECODER,
        "text_config": TEXT,
        "d_model": WIDTH,
        "value_encoder_widths": [8, 8, 16],
        "value_encoder_depths": [1, 1, 1],
        "fusion_heads": 2,
        "fusion_head_dim": 8,
    }
    return UniRefSamConfig(**{**values, **changes})


def sam_model(**changes: Any) -> UniRefSamModel:
    """In evaluation mode, with open gates and masks that are neither empty nor full."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = UniRefSamModel(sam_config(**changes))
    stir(model)
    with torch.no_grad():
        for perceptron in model.mask_decoder.output_hypernetworks_mlps:
            perceptron.proj_out.weight.mul_(6)
        model.mask_decoder.iou_prediction_head.proj_out.bias.fill_(0.8)
    return model.eval()


def sam_processor() -> UniRefProcessor:
    image_processor = UniRefImageProcessorPil(size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE})
    return UniRefProcessor(image_processor, small_tokenizer(), vos_score_threshold=None, rvos_score_threshold=None)


def save_sam_checkpoint(folder: Path) -> Path:
    """A UniRef-SAM as a user has it: model and processor."""
    sam_model().save_pretrained(folder)
    sam_processor().save_pretrained(folder)
    return folder


def save_plain_sam(folder: Path) -> Path:
    """A SAM of Transformers, without anything of ours."""
    config = SamConfig(
        vision_config=SamVisionConfig(**VISION),
        prompt_encoder_config=SamPromptEncoderConfig(**PROMPT),
        mask_decoder_config=SamMaskDecoderConfig(**DECODER),
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        SamModel(config).save_pretrained(folder)
    return folder


def save_text_encoder(folder: Path) -> Path:
    """A text encoder with its tokenizer."""
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng():
        torch.manual_seed(2)
        BertModel(BertConfig(**{name: value for name, value in TEXT.items() if name != "model_type"})).save_pretrained(
            folder
        )
    small_tokenizer().save_pretrained(folder)
    return folder


def clip(frames: int = 4) -> tuple[list[np.ndarray], np.ndarray]:
    """Frames with a bright square that moves right, and its masks (T, H, W)."""
    height, width = HEIGHT_WIDTH
    random = np.random.default_rng(0)
    pictures, masks = [], np.zeros((frames, height, width), dtype=bool)
    ground = random.integers(0, 120, (height, width, 3), dtype=np.uint8)
    for index in range(frames):
        masks[index, 12:32, 10 + 6 * index : 30 + 6 * index] = True
        picture = ground.copy()
        picture[masks[index]] = (230, 180, 60)
        pictures.append(picture)
    return pictures, masks
