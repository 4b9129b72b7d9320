"""Our schedule of video object segmentation against the released one, built from the same modules.

    python benchmarks/video.py
    python benchmarks/video.py --objects 1 5 --frames 3 --json

Follows objects that are given by masks through drawn frames with random weights, at the released size (ResNet-50, 480 x
854 pixels), with both schedules in single precision and with ours in bfloat16. Prints seconds a frame, the ratio to the
released schedule and the peak of the memory on top of the model, and how far the masks are from each other. Every
measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# Frame 0 has the given masks; in frame 1 both references are the same frame; from then on frames are alike.
WARM_UP = 2
SCORE_THRESHOLD = 0.4
SIZE, SMALL_SIZE = (480, 854), (96, 150)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 3, 5], help="numbers of objects")
    parser.add_argument("--frames", type=int, default=2, help="frames that are timed (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of PyTorch; default: its own choice")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    parser.add_argument("--small", action="store_true", help="a tiny model and frame: shows that it runs, not how fast")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if min(arguments.objects) < 1 or arguments.frames < 1 or (arguments.threads or 1) < 1:
        parser.error("--objects, --frames and --threads must be 1 or more")
    return arguments


# ---------------------------------------------------------------------------------------------------------- what is run
def random_model(small: bool) -> Any:
    """Weights by a seed, such that references matter, masks are lively and scores tell the queries apart."""
    from transformers_uniref.modeling.configuration_uniref import UniRefConfig
    from transformers_uniref.modeling.modeling_uniref import UniRefModel

    sizes: dict[str, Any] = {}
    if small:
        sizes = {
            "backbone_config": {"model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 24, 32],
                                "depths": [1, 1, 1, 1]},
            "d_model": 32, "value_encoder_widths": [16, 16, 32, 32], "value_encoder_depths": [1, 1, 1, 1],
            "fusion_heads": 2, "fusion_head_dim": 32, "encoder_layers": 1, "decoder_layers": 2, "attention_heads": 4,
            "num_points": 2, "ffn_dim": 32, "num_queries": 12,
        }  # fmt: skip
    model = UniRefModel(UniRefConfig(use_language_references=False, **sizes)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            elif "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * noise)
            else:
                parameter.copy_(0.1 * noise)
        model.fusion.modulation.bias.mul_(4)
        # Weights that multiply coordinates, of up to a thousand pixels: the first two of every row of ten.
        inputs = model.mask_head.channels + 2
        rows = torch.arange(inputs * model.mask_head.channels)
        model.mask_head.controller.layers[-1].weight[rows[rows % inputs < 2]] *= 0.02
        model.mask_head.controller.layers[-1].bias[rows[rows % inputs < 2]] *= 0.02
        model.mask_head.mask_conv.weight.mul_(4)
        for head in model.class_heads:
            head.bias.fill_(1)
        # Of hundreds of random scores some are equal but for rounding: their order should not decide what is found.
        contents = model.transformer.query_embed.weight
        contents.copy_(contents[:1].clone().expand_as(contents))
    return model


def drawn_frames(count: int, size: tuple[int, int]) -> tuple[list[Tensor], Tensor]:
    """Normalised frames (1, 3, H, W) of drifting clouds, and the mask (1, H, W) of what is not padding."""
    height, width = size
    generator = torch.Generator().manual_seed(1)
    noise = sum(
        F.interpolate(torch.randn(1, 3, height // step, width // step, generator=generator), size=size, mode="bilinear")
        for step in (4, 16, 48)
    )
    padding = (0, -width % 32, 0, -height % 32)
    frames = [F.pad(torch.roll(noise, (2 * index, 4 * index), (2, 3)), padding) for index in range(count)]
    return frames, F.pad(torch.ones(1, height, width, dtype=torch.bool), padding)


def given_masks(count: int, size: tuple[int, int]) -> dict[int, Tensor]:
    """A disc for every object, along the diagonal."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = [(number / (count + 1), number) for number in range(1, count + 1)]
    return {
        number: (y - height * place) ** 2 + (x - width * place) ** 2 < (height / 9) ** 2 for place, number in places
    }


def measure(schedule: str, precision: str, objects: int, output: Path, arguments: argparse.Namespace) -> None:
    """Run one schedule; write its masks, seconds of every frame and peak memory to `output`."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    size = SMALL_SIZE if arguments.small else SIZE
    model = random_model(arguments.small)
    frames, pixel_mask = drawn_frames(WARM_UP + arguments.frames, size)
    masks = given_masks(objects, size)
    before = memory_bytes("VmRSS")
    reset_peak()
    step = released_step(model, masks, size) if schedule == "released" else our_step(model, masks, precision)
    soft, seen, seconds, cpu_seconds = [], [], [], []
    for index, frame in enumerate(frames):
        start, cpu_start = time.perf_counter(), time.process_time()
        found, visible = step(index, frame, pixel_mask)
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        soft.append(found.numpy())
        seen.append(visible)
        print(f"  {schedule} {precision}, {objects} objects, frame {index}: {seconds[-1]:.2f} s", file=sys.stderr)
    np.savez(
        output,
        masks=np.stack(soft),
        seen=np.stack(seen),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
        peak_bytes=memory_bytes("VmHWM") - before,
    )


def our_step(model: Any, masks: dict[int, Tensor], precision: str) -> Any:
    from transformers_uniref.modeling.video.session import UniRefVideoSession

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    session = UniRefVideoSession(None, dtype=dtype, vos_score_threshold=SCORE_THRESHOLD)
    for obj_id, mask in masks.items():
        session.add_mask(0, obj_id, mask)

    def step(index: int, frame: Tensor, pixel_mask: Tensor) -> tuple[Tensor, np.ndarray]:
        output = model(inference_session=session, frame={"pixel_values": frame, "pixel_mask": pixel_mask})
        return output.pred_masks, np.array([bool(mask.any()) for mask in session.last_masks.values()])

    return step


def released_step(model: Any, masks: dict[int, Tensor], size: tuple[int, int]) -> Any:
    from released_schedule import ReleasedSchedule

    released = ReleasedSchedule(model, SCORE_THRESHOLD)

    def step(index: int, frame: Tensor, pixel_mask: Tensor) -> tuple[Tensor, np.ndarray]:
        found, visible = released.step(frame, pixel_mask, size, {} if index else masks)
        return found, visible.numpy()

    return step


def memory_bytes(name: str) -> int:
    """A line of /proc/self/status (Linux); elsewhere the peak so far."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def reset_peak() -> None:
    """Forget the peak that building the model has left, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("the peak memory includes building the model: it cannot be reset here", file=sys.stderr)


# ------------------------------------------------------------------------------------------------------------- the runs
def run_all(arguments: argparse.Namespace) -> dict[str, Any]:
    from transformers_uniref.modeling.precision import why_slow

    schedules = [("released", "fp32"), ("ours", "fp32"), ("ours", "bf16")]
    report: dict[str, Any] = {"machine": machine(arguments), "objects": {}, "left_out": {}}
    if reason := why_slow(torch.bfloat16, "cpu"):
        report["left_out"] = {"ours bf16": reason}
        schedules.pop()
    with tempfile.TemporaryDirectory() as folder:
        for objects in arguments.objects:
            runs = {}
            for schedule, precision in schedules:
                output = Path(folder) / f"{schedule}-{precision}-{objects}.npz"
                own = [schedule, precision, str(objects), str(output)]
                subprocess.run([sys.executable, __file__, *sys.argv[1:], "--measure", *own], check=True)
                with np.load(output) as arrays:
                    runs[f"{schedule} {precision}"] = dict(arrays)
            report["objects"][str(objects)] = compare(runs)
    return report


def compare(runs: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """Numbers of one count of objects; times and memory of the frames that are alike."""
    released = runs["released fp32"]
    rows = {}
    for name, run in runs.items():
        seconds, cpu_seconds = (float(np.mean(run[key][WARM_UP:])) for key in ("seconds", "cpu_seconds"))
        rows[name] = {
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "ratio": float(np.mean(released["seconds"][WARM_UP:])) / seconds,
            "cpu_ratio": float(np.mean(released["cpu_seconds"][WARM_UP:])) / cpu_seconds,
            "peak_bytes": int(run["peak_bytes"]),
            "seen": float(run["seen"].mean()),
            "max_difference": float(np.abs(run["masks"] - released["masks"]).max()),
            "mean_difference": float(np.abs(run["masks"] - released["masks"]).mean()),
        }
    return rows


def machine(arguments: argparse.Namespace) -> dict[str, Any]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = set(next((line.split(":")[1] for line in lines if line.startswith("flags")), "").split())
    return {
        "cpu": next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown"),
        "threads": arguments.threads or torch.get_num_threads(),
        "instructions": [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags],
        "torch": torch.__version__,
    }


def print_table(report: dict[str, Any]) -> None:
    described = report["machine"]
    print(f"{described['cpu']}, {described['threads']} threads, {' '.join(described['instructions'])}")
    print("ratio: released / this row; masks: largest and mean difference to the released schedule's")
    print("objects  schedule       s/frame  ratio   CPU s  ratio  peak GB  masks")
    for objects, rows in report["objects"].items():
        for name, row in rows.items():
            print(
                f"{objects:>7}  {name:13} {row['seconds']:8.2f} {row['ratio']:6.2f} {row['cpu_seconds']:7.2f} "
                f"{row['cpu_ratio']:6.2f} {row['peak_bytes'] / 1e9:8.2f}  "
                f"{row['max_difference']:.1e} {row['mean_difference']:.1e}"
            )
            if row["seen"] < 1:
                print(f"{'':9}{100 * (1 - row['seen']):.0f} % of the objects' frames have no pixel of the object")
    for name, reason in report["left_out"].items():
        print(f"left out: {name}, for {reason}")


def main() -> None:
    arguments = parse_arguments()
    if arguments.measure:
        schedule, precision, objects, output = arguments.measure
        measure(schedule, precision, int(objects), Path(output), arguments)
        return
    report = run_all(arguments)
    if arguments.json:
        print(json.dumps(report))
    else:
        print_table(report)


if __name__ == "__main__":
    main()
