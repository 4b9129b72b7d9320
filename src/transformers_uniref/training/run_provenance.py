"""What a run knows of where its model's weights are from."""

from __future__ import annotations

from pathlib import Path

from ..core.provenance import Provenance, hub_id
from .config.training import TrainingConfig
from .config.world import MicroBatchConfig


def trained(config: TrainingConfig, steps: int) -> Provenance:
    """What a training knows of its model after `steps` steps."""
    data = [{"name": part.name, "task": part.task, "source": hub_id(part.source)} for part in config.datasets]
    if not config.datasets:
        data = _generated(config)
    starts = {"model": config.initial_weights, "backbone": config.backbone_weights, "text encoder": config.text_weights}
    started_from = {part: hub_id(name) for part, name in starts.items() if name}
    if config.initial_weights and not started_from["model"]:
        started_from["model"] = config.starts_from
    return Provenance(
        "trained", recipe=config.name, steps=steps, seed=config.seed, data=data, started_from=started_from
    )


def _generated(config: TrainingConfig) -> list[dict[str, str]]:
    """The domains of a run without data sets, each with its tasks."""

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
