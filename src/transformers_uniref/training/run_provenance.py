"""What a run knows of where its model's weights are from."""

from __future__ import annotations

from pathlib import Path

from ..core.provenance import Provenance, hub_id
from .config.feed import DataOptions
from .config.model import ModelOptions
from .config.world import MicroBatchConfig


def trained(recipe: str, steps: int, start: ModelOptions, data: list[dict[str, str]]) -> Provenance:
    """What a training knows of its model after `steps` steps on `data`, see `data_of`."""
    starts = {"model": start.initial_weights, "backbone": start.backbone_weights, "text encoder": start.text_weights}
    started_from = {part: hub_id(name) for part, name in starts.items() if name}
    if start.initial_weights and not started_from["model"]:
        started_from["model"] = start.starts_from
    return Provenance("trained", recipe=recipe, steps=steps, seed=start.seed, data=data, started_from=started_from)


def data_of(config: DataOptions) -> list[dict[str, str]]:
    """Name, tasks and Hub id of the datasets of a run, or else of the domains of its scenes."""
    if config.datasets:
        return [{"name": part.name, "task": part.task, "source": hub_id(part.source)} for part in config.datasets]

    def named(name: str, batches: list[MicroBatchConfig]) -> list[dict[str, str]]:
        tasks = sorted({task for batch in batches for task in batch.scenes})
        return [{"name": name, "task": ", ".join(tasks), "source": ""}] if tasks else []

    sampling = config.sampling
    drawn = [batch for batch in config.micro_batches if not batch.domain]
    clips = [batch for batch in drawn if (batch.photo_share if batch.photo_share is not None else sampling.photo_share)]
    folders = ", ".join("/".join(Path(folder).parts[-2:]) for folder in sampling.photographs)
    asked = [batch for batch in config.micro_batches if batch.domain]
    return [
        *named("procedural world", drawn),
        *named("world of photographs", clips),
        *named(f"photographs ({folders})", asked),
    ]
