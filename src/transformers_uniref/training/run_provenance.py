"""What a run knows of where its model's weights are from."""

from __future__ import annotations

from ..core.provenance import Provenance, hub_id
from .config.training import TrainingConfig


def trained(config: TrainingConfig, steps: int) -> Provenance:
    """What a training knows of its model after `steps` steps."""
    data = [{"name": part.name, "task": part.task, "source": hub_id(part.source)} for part in config.datasets]
    if not config.datasets:
        tasks = sorted({task for batch in config.micro_batches for task in batch.scenes})
        data = [{"name": "procedural world", "task": ", ".join(tasks), "source": ""}]
        if config.sampling.photo_share:
            data.append({"name": "world of photographs", "task": ", ".join(tasks), "source": ""})
    starts = {"model": config.initial_weights, "backbone": config.backbone_weights, "text encoder": config.text_weights}
    started_from = {part: hub_id(name) for part, name in starts.items() if name}
    if config.initial_weights and not started_from["model"]:
        started_from["model"] = config.starts_from
    return Provenance(
        "trained", recipe=config.name, steps=steps, seed=config.seed, data=data, started_from=started_from
    )
