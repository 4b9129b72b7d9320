"""Small datasets and runs for the tests of the training data."""

from __future__ import annotations

from typing import Any

from same_values import same
from transformers_uniref.training.config.training import TrainingConfig, load_config
from transformers_uniref.training.data.collation import Batch, Collator
from transformers_uniref.training.data.mixture_feed import MixtureFeed
from transformers_uniref.training.model.tokenizer import build_tokenizer
from transformers_uniref.worlds.drawn.records import world_dataset
from transformers_uniref.worlds.drawn.world import vocabulary

STILLS, CLIPS = 12, 6
PLAIN = {"short_sides": [64], "flip": 0.0}
"""Pictures as they are."""


def open_world(folder: Any) -> dict[str, Any]:
    """Stills and clips of the world, 64 pixels."""
    return {
        kind: world_dataset(kind, "train", count, size=64, cache_dir=str(folder))
        for kind, count in (("stills", STILLS), ("clips", CLIPS))
    }


def dataset(name: str, task: str, kind: str = "stills", **options: Any) -> dict[str, Any]:
    """A section of `datasets` over the world; tests usually give the opened dataset too."""
    count = STILLS if kind == "stills" else CLIPS
    return {"name": name, "task": task, "source": f"world:{kind}", "samples": count, **PLAIN, **options}


def run_config(*datasets: dict[str, Any], **options: Any) -> TrainingConfig:
    """The run `world-smoke` on `datasets`."""
    overrides = ["micro_batches=[]", f"datasets={list(datasets)!r}", "steps=12"]
    overrides = [text.replace("True", "true").replace("False", "false") for text in overrides]
    return load_config("world-smoke", overrides + [f"{name}={value}" for name, value in options.items()])


def world_feed(world: dict[str, Any], config: TrainingConfig, process: int = 0, processes: int = 1) -> MixtureFeed:
    """The feed of `config`, every dataset over `world`, streamed ones in four shards."""
    opened = {}
    for section in config.datasets:
        rows = world["stills" if section.source == "world:stills" else "clips"]
        opened[section.name] = rows.to_iterable_dataset(num_shards=4) if section.streaming else rows
    return MixtureFeed(config, process, processes, opened)


def collator() -> Collator:
    """A collator that knows the world's words."""
    return Collator(build_tokenizer(vocabulary(), 24), 24)


def batches(feed: MixtureFeed, first: int = 0, count: int | None = None) -> list[list[Batch]]:
    """The steps `first`, ... of `feed`, `count` of them."""
    steps = feed.steps(first, collator())
    if count is None:
        return list(steps)
    found = [next(steps) for _ in range(count)]
    steps.close()  # type: ignore[attr-defined]
    return found


def sample_ids(steps: list[list[Batch]]) -> list[list[str]]:
    """The ids of every step's batches, one after another, each sample once."""
    return [[name for batch in step for name in dict.fromkeys(batch.sample_ids)] for step in steps]


def same_batches(first: list[list[Batch]], second: list[list[Batch]]) -> bool:
    """Whether two sequences of steps hold equal tensors."""
    return same(*([[batch.inputs for batch in step] for step in steps] for steps in (first, second)))
