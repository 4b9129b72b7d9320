"""An epoch of adapter training of a UniRef-SAM, with and without its image embeddings on disk.

    python benchmarks/sam_cache.py
    python benchmarks/sam_cache.py --images 8 --side 512 --json

Trains fusion, reference encoders and mask decoder on noise pictures with a sentence each; image encoder (a ViT-S: 12
layers of 384 channels), prompt encoder and text encoder are frozen, as released. Epochs: computing every embedding;
filling the cache; reading from it. All three start from the same weights, and no dropout is active, so that the losses
have to agree.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

FROZEN = ("visual_encoder.", "prompt_encoder.", "language_encoder.text_encoder.")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=6, help="pictures of an epoch (default: %(default)s)")
    parser.add_argument("--side", type=int, default=512, help="side of the input (default: %(default)s)")
    parser.add_argument("--layers", type=int, default=12, help="layers of the ViT (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=384, help="its width (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    arguments = parser.parse_args()
    if arguments.images < 1 or arguments.side % 16 or arguments.channels % 64 or arguments.layers < 1:
        parser.error("--images and --layers must be 1 or more, --side a multiple of 16, --channels of 64")
    return arguments


def build_model(side: int, layers: int, channels: int) -> Any:
    """In training mode, without dropout, with the released parts frozen."""
    from transformers_uniref import UniRefSamConfig, UniRefSamModel

    torch.manual_seed(0)
    config = UniRefSamConfig(
        vision_config={
            "model_type": "sam_vision_model",
            "hidden_size": channels,
            "num_hidden_layers": layers,
            "num_attention_heads": channels // 64,
            "image_size": side,
            "global_attn_indexes": [index for index in range(layers) if index % 3 == 2],
            "initializer_range": 0.02,
        },
        text_config={
            "model_type": "bert",
            "vocab_size": 100,
            "hidden_size": 96,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "intermediate_size": 192,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        fusion_dropout=0.0,
        text_dropout=0.0,
    )
    model = UniRefSamModel(config).train()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN))
    return model


def train_epoch(start: Any, samples: list[dict[str, Any]], folder: Path | None) -> tuple[float, list[float]]:
    """Seconds and losses of one epoch of a copy of the model."""
    model = copy.deepcopy(start)
    model.cache_image_embeddings(folder)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    losses = []
    began = time.perf_counter()
    for sample in samples:
        optimizer.zero_grad()
        loss = model(**sample).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return time.perf_counter() - began, losses


def main() -> None:
    arguments = parse_arguments()
    model = build_model(arguments.side, arguments.layers, arguments.channels)
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(1, arguments.side, arguments.side)
    mask[:, arguments.side // 4 : arguments.side // 2, arguments.side // 3 :] = 1
    label = {"masks": mask, "boxes": torch.zeros(1, 4), "class_labels": torch.zeros(1, dtype=torch.long)}
    samples = [
        {
            "pixel_values": torch.randn(1, 3, arguments.side, arguments.side, generator=generator),
            "input_ids": torch.randint(4, 100, (1, 8), generator=generator),
            "labels": [label],
        }
        for _ in range(arguments.images)
    ]
    train_epoch(model, samples[:1], None)  # warms up
    with tempfile.TemporaryDirectory() as folder:
        seconds, losses = {}, {}
        for name, cache in (("computing", None), ("filling", Path(folder)), ("reading", Path(folder))):
            seconds[name], losses[name] = train_epoch(model, samples, cache)
        size = sum(file.stat().st_size for file in Path(folder).iterdir())
    wanted = losses["computing"]
    report = {
        "images": arguments.images,
        "side": arguments.side,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "times_faster": seconds["computing"] / seconds["reading"],
        "bytes_an_image": size // arguments.images,
        "largest_difference_of_losses": max(
            abs(a - b) for name in ("filling", "reading") for a, b in zip(wanted, losses[name], strict=True)
        ),
    }
    if arguments.json:
        print(json.dumps(report))
        return
    for name, value in seconds.items():
        print(f"{name:10s} {value:8.2f} s an epoch of {arguments.images} pictures")
    print(f"reading is {report['times_faster']:.1f} times faster; {report['bytes_an_image']:,} bytes an image")
    print(f"largest difference of the losses: {report['largest_difference_of_losses']:.2g}")


if __name__ == "__main__":
    main()
