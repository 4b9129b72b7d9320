"""The checkpoints that the authors of UniRef++ released: what each does, its published figures, where its file lies.

Files and figures stand in `released_models.json`. They are those of the section "Model Zoo" in the authors' README
(https://github.com/FoundationVision/UniRef) and, where it has no number, of the tables of RIS and VOS in the paper;
where the two differ (Ref-DAVIS 2017 with ResNet-50, 62.5 in the paper), the README's, which belongs to the file. Their
code is under the MIT licence; nothing names one for the weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

AUTHORS = "https://github.com/FoundationVision/UniRef"

CODE_LICENSE = "MIT"
"""Of the authors' code. Their weights name none."""


@dataclass(frozen=True)
class PublishedFigure:
    """A number that the authors published.

    Attributes:
        dataset: name for `uniref evaluate --dataset`.
        title: of the data set, for people.
        split: name for `uniref evaluate --split`.
        measure: oIoU: overall IoU; mIoU; J&F; G: the mean over seen and unseen classes.
        value: in percent.
    """

    dataset: str
    title: str
    split: str
    measure: str
    value: float


@dataclass(frozen=True)
class ReleasedWeights:
    """One released file.

    Attributes:
        name: under which this package knows it.
        backbone: for people.
        stage: of the training, the last that these weights went through.
        tasks: what it was trained for.
        drive_id: of the file on Google Drive.
        tensor_list: name of the list of tensors that the file has to hold, see `tensor_list`.
        parameters: number of weights that the model uses.
        megabytes: of its tensors; the file may be larger, for it may hold the state of an optimiser as well.
        figures: what the authors published.
    """

    name: str
    backbone: str
    stage: Literal["Objects365 pretraining", "image-joint training", "video-joint training"]
    tasks: tuple[str, ...]
    drive_id: str
    tensor_list: str
    parameters: int
    megabytes: int
    figures: tuple[PublishedFigure, ...] = ()

    @property
    def page(self) -> str:
        """Where the file is looked at in a browser."""
        return f"https://drive.google.com/file/d/{self.drive_id}/view"


def _read(entry: dict[str, Any], datasets: dict[str, dict[str, str]]) -> ReleasedWeights:
    figures = tuple(
        PublishedFigure(dataset=name, split=split, value=value, **datasets[name])
        for name, values in entry["figures"].items()
        for split, value in values.items()
    )
    return ReleasedWeights(**{**entry, "tasks": tuple(entry["tasks"]), "figures": figures})


_TABLE = json.loads(Path(__file__).with_name("released_models.json").read_text(encoding="utf-8"))
RELEASED = tuple(_read(entry, _TABLE["datasets"]) for entry in _TABLE["weights"])
RELEASED_BY_NAME = {weights.name: weights for weights in RELEASED}
