"""Does one loader process keep up with a small model? Samples a second of both, measured in one run.

    python benchmarks/data_loading.py
    python benchmarks/data_loading.py --steps 40 --size 128 --json

Five datasets of drawn scenes, one a task (detection, referring segmentation, few-shot, both video tasks), stored with
`datasets` and read, decoded, augmented (several sizes, flips, colours) and batched by the training's own mixture. Then
the model of the bundled configuration `world` takes training steps (forward, backward, AdamW) on the same batches. Wall
time says what happened on this machine, CPU time what would happen on one that does nothing else; a ratio above 1 means
that the loader is the faster one.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from typing import Any

import torch

TASKS = {
    "detection": "world:stills",
    "ris": "world:stills",
    "fss": "world:stills",
    "vos": "world:clips",
    "rvos": "world:clips",
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30, help="steps to measure (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="short side in pixels (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="images of a batch (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=64, help="scenes of a dataset (default: %(default)s)")
    parser.add_argument("--config", default="world", help="configuration whose model is trained (default: %(default)s)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.size < 64 or arguments.batch < 1 or arguments.scenes < 8:
        parser.error("--steps and --batch must be 1 or more, --size 64 or more, --scenes 8 or more")
    return arguments


def run_config(arguments: argparse.Namespace, workers: int) -> Any:
    """The configuration with a dataset a task."""
    from transformers_uniref.training.config.training import load_config

    sizes = [arguments.size - 32, arguments.size] if arguments.size >= 96 else [arguments.size]
    datasets = [
        {
            "name": task,
            "task": task,
            "source": source,
            "samples": arguments.scenes,
            "batch_size": arguments.batch,
            "short_sides": sizes,
            "colour": 0.2,
        }
        for task, source in TASKS.items()
    ]
    return load_config(
        arguments.config,
        ["micro_batches=[]", f"datasets={datasets!r}", f"steps={arguments.steps + 2}", f"loader_workers={workers}"],
    )


def measure_loader(feed: Any, collator: Any) -> tuple[list[Any], float]:
    """The batches, and seconds a step without the first two, which wait for the process to start."""
    batches, times = [], []
    started = time.perf_counter()
    for step in feed.steps(0, collator):
        batches.append(step)
        times.append(time.perf_counter() - started)
    return batches[2:], (times[-1] - times[1]) / (len(times) - 2)


def measure_cpu_of_loading(feed: Any, collator: Any, count: int) -> float:
    """CPU seconds that preparing a step takes, in this process."""
    steps = feed.steps(0, collator)
    next(steps)
    started = time.process_time()
    for _ in range(count):
        next(steps)
    return (time.process_time() - started) / count


def measure_training(model: Any, steps: list[Any], device: str) -> tuple[float, float]:
    """Mean wall and CPU seconds of a training step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    walls, cpus = [], []
    for number, step in enumerate([steps[0], *steps]):
        wall, cpu = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        for batch in step:
            batch = batch.to(device)
            (batch.weight * model(**batch.inputs).loss).backward()
        optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()
        if number:  # the first allocates
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
    return statistics.mean(walls), statistics.mean(cpus)


def main() -> None:
    arguments = parse_arguments()
    import datasets

    from transformers_uniref.training.data.collation import Collator
    from transformers_uniref.training.data.mixture_feed import MixtureFeed
    from transformers_uniref.training.model.factory import build_model
    from transformers_uniref.training.model.tokenizer import build_tokenizer

    datasets.disable_progress_bars()
    torch.set_num_threads(arguments.threads)
    config = run_config(arguments, workers=1)
    feed = MixtureFeed(config)
    length = int(config.model.get("text_length", 77))
    tokenizer = build_tokenizer(feed.vocabulary(), length)
    collator = Collator(tokenizer, length)
    steps, loading = measure_loader(feed, collator)
    loading_cpu = measure_cpu_of_loading(MixtureFeed(run_config(arguments, workers=0)), collator, len(steps))
    model = build_model(config, len(tokenizer)).to(arguments.device).train()
    training, training_cpu = measure_training(model, steps, arguments.device)
    count = arguments.batch
    result = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "device": torch.cuda.get_device_name() if arguments.device != "cpu" else "cpu",
            "threads": arguments.threads,
            "torch": torch.__version__,
        },
        "steps": len(steps),
        "size": arguments.size,
        "batch": count,
        "model_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loader_samples_per_second": count / loading,
        "training_samples_per_second": count / training,
        "ratio": training / loading,
        "loader_samples_per_cpu_second": count / loading_cpu,
        "training_samples_per_cpu_second": count / training_cpu,
        "cpu_ratio": training_cpu / loading_cpu,
    }
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"{len(steps)} steps of {count} images, short side {arguments.size}, on {result['machine']}")
    print(f"one loader process: {count / loading:8.1f} samples/s  ({count / loading_cpu:.1f} a CPU second)")
    print(f"training:           {count / training:8.1f} samples/s  ({count / training_cpu:.1f} a CPU second)")
    print(f"loader / training:  {training / loading:8.2f}  (CPU time: {training_cpu / loading_cpu:.2f})")


if __name__ == "__main__":
    main()
