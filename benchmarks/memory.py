"""Session bytes against streamed frames: shows that following objects for hours takes no more memory than for seconds.

    python benchmarks/memory.py --frames 1000 --objects 3 --plot memory.png

Streams drawn frames through a session with objects given by masks, and one more given by a sentence where the model
reads sentences, and reports after some of the frames: the bytes of the tensors that the session keeps, the resident
memory of the process (Linux), and, by arithmetic, what keeping every frame and result would take. Fails when the
session holds more after the last frame than after the tenth.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or Hub id; default: the bundled model, else a tiny random one")
    parser.add_argument("--frames", type=int, default=1000, help="how many frames to stream (default: %(default)s)")
    parser.add_argument("--objects", type=int, default=3, help="objects given by masks (default: %(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 192), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true", help="run the model in bfloat16")
    parser.add_argument("--plot", type=Path, help="write a plot to this file (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    arguments = parser.parse_args()
    if arguments.frames < 11 or arguments.objects < 1 or min(arguments.size) < 64:
        parser.error("--frames must be 11 or more, --objects 1 or more, --size 64 or more")
    return arguments


def load(name: str | None) -> tuple[Any, Any]:
    """Model and processor."""
    from transformers import AutoModel, AutoProcessor

    from transformers_uniref.core.families import DEFAULT_CHECKPOINT

    if name is None and DEFAULT_CHECKPOINT.is_dir():
        name = str(DEFAULT_CHECKPOINT)
    if name is not None:
        return AutoModel.from_pretrained(name), AutoProcessor.from_pretrained(name)
    return tiny_model()


def tiny_model() -> tuple[Any, Any]:
    """A random model without a text encoder, of the released architecture and token width but few layers."""
    from transformers_uniref.modeling.configuration_uniref import UniRefConfig
    from transformers_uniref.modeling.modeling_uniref import UniRefModel
    from transformers_uniref.processors.image_processing_uniref import UniRefImageProcessorPil
    from transformers_uniref.processors.processing_uniref import UniRefProcessor

    torch.manual_seed(0)
    backbone = {
        "model_type": "resnet",
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 64, 128],
        "depths": [1, 1, 1, 1],
    }
    config = UniRefConfig(
        backbone_config=backbone,
        use_language_references=False,
        encoder_layers=1,
        decoder_layers=1,
        num_queries=20,
        fusion_head_dim=32,
        ffn_dim=256,
        value_encoder_widths=[32, 32, 64, 128],
        value_encoder_depths=[1, 1, 1, 1],
    )
    processor = UniRefProcessor(UniRefImageProcessorPil(size={"shortest_edge": 128, "longest_edge": 256}))
    return UniRefModel(config), processor


def scene(frame: int, objects: int, size: tuple[int, int], background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, 3) with discs that circle through it and at times leave it, and its label map (H, W)."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    picture, labels = background.copy(), np.zeros(size, np.uint8)
    for obj_id in range(1, objects + 1):
        angle = 2 * np.pi * obj_id / objects + 0.02 * frame
        centre_y = height * (0.5 + 0.6 * np.sin(angle) * min(1.0, frame / 100 + 0.5))
        centre_x = width * (0.5 + 0.4 * np.cos(angle))
        disc = (y - centre_y) ** 2 + (x - centre_x) ** 2 <= (min(size) / 8) ** 2
        picture[disc] = np.roll([230, 40, 120], obj_id) - 10 * (obj_id // 3)
        labels[disc] = obj_id
    return picture, labels


def resident_bytes() -> int | None:
    statm = Path("/proc/self/statm")
    if not statm.is_file():
        return None
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize()


def measure(arguments: argparse.Namespace) -> Iterator[dict[str, int | None]]:
    """One row a reported frame."""
    from tqdm import tqdm

    model, processor = load(arguments.model)
    model = model.to(arguments.device).eval()
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    session = processor.init_video_session(
        inference_device=arguments.device, dtype=dtype, vos_score_threshold=None, rvos_score_threshold=None
    )
    size = tuple(arguments.size)
    background = np.random.default_rng(0).integers(60, 190, (*size, 3)).astype(np.uint8)
    ids = list(range(1, arguments.objects + 1))
    processor.add_mask_prompt(session, 0, ids, scene(0, len(ids), size, background)[1])
    if processor.tokenizer is not None:
        processor.add_text_prompt(session, len(ids) + 1, "the red circle")
    every = max(1, arguments.frames // 20)
    hoarded = 0
    for index in tqdm(range(arguments.frames), unit="frame", disable=not sys.stderr.isatty()):
        output = model(inference_session=session, frame=scene(index, len(ids), size, background)[0])
        hoarded += output.pred_masks.numel() * 4 + 3 * size[0] * size[1] * 4
        if (index + 1) % every == 0 or index + 1 in (1, 10, arguments.frames):
            yield {
                "frames": index + 1,
                "session_bytes": session.num_bytes(),
                "resident_bytes": resident_bytes(),
                "bytes_if_all_were_kept": hoarded,
            }


def plot(rows: list[dict[str, int | None]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    frames = [row["frames"] for row in rows]
    for name, label, style in (
        ("session_bytes", "kept by the session", "-"),
        ("bytes_if_all_were_kept", "if every frame and result were kept (computed)", "--"),
    ):
        axes.plot(frames, [(row[name] or 0) / 2**20 for row in rows], style, label=label)
    axes.set(xlabel="frames", ylabel="MiB", yscale="log", title="Memory of a video session")
    axes.legend()
    figure.savefig(path, dpi=150)


def main() -> int:
    arguments = parse_arguments()
    if arguments.plot is not None:
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            print("--plot needs matplotlib: pip install 'transformers-uniref[plot]'", file=sys.stderr)
            return 2
    rows = []
    for row in measure(arguments):
        rows.append(row)
        if not arguments.json:
            print("  ".join(f"{name} {value:>12,}" for name, value in row.items() if value is not None), flush=True)
    at_ten = next(row["session_bytes"] for row in rows if row["frames"] == 10)
    at_end = rows[-1]["session_bytes"]
    assert at_ten is not None and at_end is not None
    bounded = at_end <= at_ten
    if arguments.json:
        print(json.dumps({"bounded": bounded, "rows": rows}))
    else:
        print(f"after 10 frames {at_ten:,} bytes, after {rows[-1]['frames']} frames {at_end:,} bytes")
    if arguments.plot is not None:
        plot(rows, arguments.plot)
    return 0 if bounded else 1


if __name__ == "__main__":
    sys.exit(main())
