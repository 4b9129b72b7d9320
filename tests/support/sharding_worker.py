"""What `training/sharding/test_sharding.py` runs in each of two processes: short runs, so that imports are paid once.

`sharding_worker.py core|odd FOLDER`: every scenario writes a run's folder; other facts go into `facts-PROCESS.json`.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from training_support import very_tiny
from transformers_uniref.modeling.losses.matching import NonFinitePredictionsError
from transformers_uniref.training.loop import TrainingRun
from transformers_uniref.training.sharding.sharding import local

SHARED = (
    "steps=4",
    "log_every=1",
    "checkpoint.every=2",
    "model.text_dropout=0.0",
    "micro_batches=[{scenes: {ris: 2}}, {scenes: {fss: 3}, every: 2}]",
)
VALIDATED = (
    "validation.every=4",
    "validation.images=2",
    "validation.few_shot=2",
    "validation.clips=0",
    "validation.size=64",
    "checkpoint.best=ris/score",
)
SHARDED = "sharding=fsdp2"


class Altered:
    """A feed whose steps are changed on the way."""

    def __init__(self, feed: Any, change: Any) -> None:
        self.feed, self.change = feed, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self.feed, name)

    def steps(self, first_step: int, collator: Any) -> Iterator[list]:
        for step, batches in enumerate(self.feed.steps(first_step, collator), first_step):
            yield self.change(step, batches)


def without_objects(step: int, batches: list) -> list:
    """No entry finds its object."""
    for batch in batches:
        batch.targets.zero_()
        for label in batch.inputs["labels"]:
            label.update({name: value[:0] for name, value in label.items() if name in ("boxes", "masks")})
            label["class_labels"] = label["class_labels"][:0]
    return batches


def sizes(run: TrainingRun) -> dict[str, int]:
    moments = [value for state in run.optimizer.state.values() for name, value in state.items() if name != "step"]
    return {
        "pieces": sum(local(p).numel() for p in run.model.parameters()),
        "all": sum(p.numel() for p in run.model.parameters()),
        "average": sum(local(p).numel() for p in run.ema.parameters.values()),
        "moments": sum(local(p).numel() for p in moments),
        "sharded": sum(isinstance(p, DTensor) for g in run.optimizer.param_groups for p in g["params"]),
        "parameters": sum(len(g["params"]) for g in run.optimizer.param_groups),
    }


class Scenarios:
    """Runs in this process's folder, and what is remembered of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {}

    def start(self, name: str, *overrides: str) -> TrainingRun:
        return TrainingRun(very_tiny(*SHARED, *overrides), self.folder / name)

    def core(self) -> None:
        """Whole copies, pieces, and pieces resumed."""
        # The launcher asks for FSDP2: where a scenario wants something else, it must not see that.
        launched = os.environ.pop("ACCELERATE_USE_FSDP")
        whole = self.start("whole", *VALIDATED)
        assert whole.run()
        self.facts["whole"] = sizes(whole)
        os.environ["ACCELERATE_USE_FSDP"] = launched
        sharded = self.start("sharded", *VALIDATED)
        del os.environ["ACCELERATE_USE_FSDP"]
        assert sharded.run()
        self.facts["sharded"] = sizes(sharded)
        self.resume("sharded")
        self.unequal()

    def resume(self, origin: str) -> None:
        into = self.folder / f"resumed-{origin}" / "checkpoints" / "step-00000002"
        if torch.distributed.get_rank() == 0:
            shutil.copytree(self.folder / origin / "checkpoints" / "step-00000002", into)
        torch.distributed.barrier()
        run = self.start(f"resumed-{origin}", *VALIDATED, SHARDED)
        assert run.resume() and run.run()

    def unequal(self) -> None:
        """One process has a micro-batch less."""
        run = self.start("unequal", SHARDED)
        if run.accelerator.is_main_process:
            run.feed = Altered(run.feed, lambda step, batches: batches[:1])
        try:
            run.run()
        except ValueError as error:
            self.facts["unequal"] = str(error)

    def odd(self) -> None:
        """Steps that go another way in one process than in the other, and a scaled loss."""
        del os.environ["ACCELERATE_USE_FSDP"]
        whole = self.start("whole", *VALIDATED)
        assert whole.run()
        self.resume("whole")
        for name, option in (("whole", "sharding=none"), ("sharded", SHARDED)):
            self.lone(f"lone-{name}", option)
            self.skipped(f"skipped-{name}", option)
        run = self.start("scaled", SHARDED)
        run.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        assert run.run()

    def lone(self, name: str, option: str) -> None:
        """One process finds no object, the other does; activations are computed again."""
        run = self.start(name, option, "gradient_checkpointing=true", "steps=2")
        if not run.accelerator.is_main_process:
            run.feed = Altered(run.feed, without_objects)
        assert run.run()

    def skipped(self, name: str, option: str) -> None:
        """One process cannot match its predictions in the second step."""
        run = self.start(name, option, "on_nonfinite=skip")
        match = run.model.criterion.match

        def failing_match(*given: Any) -> Any:
            if run.step == 1 and not run.accelerator.is_main_process:
                raise NonFinitePredictionsError("as if")
            return match(*given)

        run.model.criterion.match = failing_match
        assert run.run()
        self.facts[name] = run.skipped


if __name__ == "__main__":
    scenarios = Scenarios(Path(sys.argv[2]))
    getattr(scenarios, sys.argv[1])()
    process = torch.distributed.get_rank()
    (scenarios.folder / f"facts-{process}.json").write_text(json.dumps(scenarios.facts))
    torch.distributed.destroy_process_group()
