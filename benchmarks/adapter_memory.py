"""Peak memory of a training step: adapters against full fine-tuning of the same model on the same batch.

    python benchmarks/adapter_memory.py
    python benchmarks/adapter_memory.py --families resnet --size 256 --batch 2 --json

Counts the bytes that PyTorch's CPU allocator hands out (its own reports, through `torch.profiler`), on top of what
lives before the step: weights, buffers and the moments of AdamW. Measured is the second step, in which the moments are
there. The peak is the same on every machine with the same build of PyTorch; nothing is timed. Every family is measured
as it is and with activation checkpointing, the same in both runs of a ratio. The models have random weights:

resnet: the bundled default. swin: the same with a Swin of 48 channels. sam: a UniRef-SAM with a ViT of 192 channels.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

FAMILIES = ("resnet", "swin", "sam")
LIMIT = 0.6
"""The share of full fine-tuning's peak that an adapter may need."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--presets", nargs="+", default=["lora", "dora", "lora-light"])
    parser.add_argument("--size", type=int, default=128, help="side of the pictures (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="pictures of the step (default: %(default)s)")
    parser.add_argument("--reference", choices=["text", "mask", "both"], default="both", help="default: both")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    arguments = parser.parse_args()
    if arguments.size % 64 or arguments.batch < 1:
        parser.error("--size must be a multiple of 64, --batch 1 or more")
    return arguments


def build_model(family: str, size: int) -> Any:
    """In training mode, with random weights."""
    from transformers import AutoConfig

    from transformers_uniref import UniRefModel, UniRefSamConfig, UniRefSamModel
    from transformers_uniref.core.families import DEFAULT_CHECKPOINT

    torch.manual_seed(0)
    bundled = AutoConfig.from_pretrained(DEFAULT_CHECKPOINT)
    if family == "sam":
        vision = {
            "model_type": "sam_vision_model",
            "hidden_size": 192,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "image_size": size,
            "global_attn_indexes": [2, 5],
            "window_size": 7,
        }
        return UniRefSamModel(UniRefSamConfig(vision_config=vision, text_config=bundled.text_config.to_dict())).train()
    if family == "swin":
        values = bundled.to_dict()
        values["backbone_config"] = {
            "model_type": "swin",
            "embed_dim": 48,
            "depths": [2, 2, 6, 2],
            "num_heads": [3, 6, 12, 24],
            "window_size": 4,
            "image_size": size,
        }
        return UniRefModel(type(bundled).from_dict(values)).train()
    return UniRefModel(bundled).train()


def batch_of(size: int, count: int, reference: str) -> dict[str, Any]:
    """Noise pictures with a square in each that a sentence, an example, or both refer to."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(1, size, size)
    mask[:, size // 4 : size // 2, size // 3 : 2 * size // 3] = 1
    box = torch.tensor([[0.5, 0.375, 1 / 3, 0.25]])
    inputs: dict[str, Any] = {
        "pixel_values": torch.randn(count, 3, size, size, generator=generator),
        "labels": [{"masks": mask, "boxes": box, "class_labels": torch.zeros(1, dtype=torch.long)}] * count,
    }
    if reference in ("text", "both"):
        inputs["input_ids"] = torch.randint(5, 100, (count, 8), generator=generator)
    if reference in ("mask", "both"):
        inputs["reference_pixel_values"] = torch.randn(count, 1, 3, size, size, generator=generator)
        inputs["reference_masks"] = mask.expand(count, 1, size, size)
    return inputs


def tensor_bytes(tensors: Any) -> int:
    """Bytes of the memory of tensors, shared memory once."""
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def peak_of_step(model: Any, inputs: dict[str, Any]) -> dict[str, int]:
    """Bytes at the peak of a training step, and those that live between steps."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)

    def step() -> None:
        model(**inputs).loss.backward()
        optimizer.step()

    step()
    optimizer.zero_grad(set_to_none=True)
    moments = [value for state in optimizer.state.values() for value in state.values() if torch.is_tensor(value)]
    standing = tensor_bytes([*model.parameters(), *model.buffers(), *moments])
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        step()
    results: Any = recorded.profiler
    level = highest = 0
    for event in sorted(
        (e for e in results.kineto_results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns()
    ):
        level += event.nbytes()
        highest = max(highest, level)
    return {"peak": standing + highest, "standing": standing, "trained": sum(p.numel() for p in trained)}


def measure(family: str, preset: str, checkpointing: bool, arguments: argparse.Namespace) -> dict[str, int]:
    """One row: `preset` "full" trains everything."""
    from transformers_uniref.adapters import adapter_config

    model = build_model(family, arguments.size)
    if checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    if preset != "full":
        model.add_adapter(adapter_config(preset, model))
    return peak_of_step(model.train(), batch_of(arguments.size, arguments.batch, arguments.reference))


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(1)
    rows = []
    for family in arguments.families:
        for checkpointing in (False, True):
            full = measure(family, "full", checkpointing, arguments)
            for preset in ("full", *arguments.presets):
                row = full if preset == "full" else measure(family, preset, checkpointing, arguments)
                ratio = row["peak"] / full["peak"]
                labels = {"family": family, "checkpointing": checkpointing, "preset": preset}
                rows.append({**labels, **row, "ratio": ratio, "within_limit": preset != "full" and ratio <= LIMIT})
                if not arguments.json:
                    kept = "checkpointing" if checkpointing else "as it is"
                    print(
                        f"{family:8s}{kept:15s}{preset:12s}{row['trained']:>12,} trained  standing "
                        f"{row['standing'] / 2**20:8.1f} MiB  peak {row['peak'] / 2**20:8.1f} MiB  ratio {ratio:.2f}",
                        flush=True,
                    )
    if arguments.json:
        print(json.dumps({"size": arguments.size, "batch": arguments.batch, "limit": LIMIT, "rows": rows}))


if __name__ == "__main__":
    main()
