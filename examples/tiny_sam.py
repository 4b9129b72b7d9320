"""A UniRef-SAM of random weights that is small enough to be trained in minutes, for trying things out.

    python examples/tiny_sam.py OUTPUT_DIR

It is made as one of real size is: a SAM of Transformers, and `uniref convert --sam` around it. It reads no sentences.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from transformers_uniref.frontends.cli.main import main as uniref

SIDE, CHANNELS = 128, 64


def tiny_sam() -> SamModel:
    """A SAM of random weights with 4 layers of 64 channels for pictures of 128 pixels."""
    vision = SamVisionConfig(
        hidden_size=CHANNELS,
        output_channels=CHANNELS,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE,
        window_size=4,
        global_attn_indexes=[1, 3],
        num_pos_feats=CHANNELS // 2,
        initializer_range=0.1,
    )
    prompt = SamPromptEncoderConfig(hidden_size=CHANNELS, image_size=SIDE, patch_size=16)
    decoder = SamMaskDecoderConfig(hidden_size=CHANNELS, mlp_dim=128, num_attention_heads=4, iou_head_hidden_dim=32)
    torch.manual_seed(0)
    sam = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompt, mask_decoder_config=decoder))
    # Transformers starts weights at a deviation of .02, with which a model as narrow as this learns next to nothing.
    for module in sam.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
    # Public weights bring frequencies of deviation 1. Those of a new SamModel grow with its width: so fast that points
    # within one patch have nothing in common with each other or with the patch, and no decoder can find them there.
    nn.init.normal_(sam.shared_image_embedding.positional_embedding)
    return sam


def put_references_around(sam: SamModel, folder: Path) -> int:
    """Write the UniRef-SAM with this SAM in it to a new folder; returns the exit code of `uniref convert --sam`."""
    options = ["value_encoder_widths=[32, 32, 64]", "value_encoder_depths=[1, 1, 1]", "fusion_head_dim=16"]
    with tempfile.TemporaryDirectory() as kept:
        sam.save_pretrained(kept)
        settings = [part for option in options for part in ("--set", option)]
        return uniref(["convert", kept, str(folder), "--sam", "--text-encoder", "none", *settings])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    arguments = parser.parse_args()
    return put_references_around(tiny_sam(), arguments.output_dir)


if __name__ == "__main__":
    sys.exit(main())
