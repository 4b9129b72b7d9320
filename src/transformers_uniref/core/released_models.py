"""The checkpoints that the authors of UniRef++ released: what each does, its published figures, where its file lies.

Files and figures are those of the section "Model Zoo" in the authors' README (https://github.com/FoundationVision/UniRef)
and, where it has no number, of the paper's tables of RIS and VOS; where the two differ (Ref-DAVIS 2017 with ResNet-50,
62.5 in the paper), the README's, which belongs to the file. Their code is under the MIT licence; nothing names one for
the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AUTHORS = "https://github.com/FoundationVision/UniRef"

CODE_LICENSE = "MIT"
"""Of the authors' code. Their weights name none."""

SENTENCES, EXAMPLES, CLIPS_BY_MASK, CLIPS_BY_SENTENCE = (
    "referring segmentation",
    "few-shot segmentation",
    "video object segmentation",
    "referring video segmentation",
)


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


def _figures(**values: float | tuple[float, ...]) -> tuple[PublishedFigure, ...]:
    figures = []
    for column, given in values.items():
        dataset, title, measure, splits = _COLUMNS[column]
        numbers = given if isinstance(given, tuple) else (given,)
        figures += [
            PublishedFigure(dataset, title, split, measure, value)
            for split, value in zip(splits, numbers, strict=False)  # of the image models only the first is published
        ]
    return tuple(figures)


_COLUMNS = {
    "refcoco": ("refcoco", "RefCOCO", "oIoU", ("val", "testA", "testB")),
    "refcoco_plus": ("refcoco+", "RefCOCO+", "oIoU", ("val", "testA", "testB")),
    "refcocog": ("refcocog", "RefCOCOg (UMD)", "oIoU", ("val", "test")),
    "fss": ("fss-1000", "FSS-1000", "mIoU", ("test",)),
    "ref_youtube_vos": ("ref-youtube-vos", "Ref-YouTube-VOS", "J&F", ("valid",)),
    "ref_davis": ("ref-davis-2017", "Ref-DAVIS 2017", "J&F", ("val",)),
    "youtube_vos_18": ("youtube-vos-2018", "YouTube-VOS 2018", "G", ("valid",)),
    "youtube_vos_19": ("youtube-vos-2019", "YouTube-VOS 2019", "G", ("valid",)),
    "davis": ("davis-2017", "DAVIS 2017", "J&F", ("val",)),
    "lvos": ("lvos-v1", "LVOS v1", "J&F", ("val",)),
}
_ALL_TASKS = (SENTENCES, EXAMPLES, CLIPS_BY_SENTENCE, CLIPS_BY_MASK)

RELEASED = (
    ReleasedWeights(
        "uniref-pp-r50",
        "ResNet-50",
        "video-joint training",
        _ALL_TASKS,
        "190SV9GU6Pd9FMZQnRrCbgw8lqDYF9_-I",
        "r50",
        190_990_968,
        768,
        _figures(
            refcoco=(75.63, 78.75, 72.91),
            refcoco_plus=(63.29, 68.68, 56.26),
            refcocog=(68.38, 69.71),
            fss=79.1,
            ref_youtube_vos=61.5,
            ref_davis=63.5,
            youtube_vos_18=81.9,
            youtube_vos_19=81.9,
            davis=81.5,
            lvos=60.1,
        ),
    ),
    ReleasedWeights(
        "uniref-pp-swin-l",
        "Swin-L",
        "video-joint training",
        _ALL_TASKS,
        "1ggkoEo1n2b-3sZDVVw3qFg1kyJQPc1jT",
        "swin-l",
        361_327_724,
        1453,
        _figures(
            refcoco=(79.13, 82.21, 77.45),
            refcoco_plus=(68.43, 73.98, 61.45),
            refcocog=(71.37, 72.84),
            fss=85.4,
            ref_youtube_vos=66.9,
            ref_davis=67.2,
            youtube_vos_18=83.2,
            youtube_vos_19=83.0,
            davis=83.9,
            lvos=67.2,
        ),
    ),
    ReleasedWeights(
        "uniref-pp-r50-image",
        "ResNet-50",
        "image-joint training",
        (SENTENCES, EXAMPLES),
        "1RNerEk7nrbFBI9dY5HIK7ErmqKLN40_g",
        "r50",
        190_990_968,
        768,
        _figures(refcoco=76.3, fss=85.2),
    ),
    ReleasedWeights(
        "uniref-pp-swin-l-image",
        "Swin-L",
        "image-joint training",
        (SENTENCES, EXAMPLES),
        "1dhCRuSDkw7IjxoUZo1EHDPU_608QHcx_",
        "swin-l",
        361_327_724,
        1453,
        _figures(refcoco=79.9, fss=87.7),
    ),
    ReleasedWeights(
        "uniref-pp-r50-pretrain",
        "ResNet-50",
        "Objects365 pretraining",
        (),
        "1cz7xWfk0xBRNMTM7P8Vtb7jT6cBv5fKN",
        "r50-pretrain",
        50_155_104,
        207,
    ),
    ReleasedWeights(
        "uniref-pp-swin-l-pretrain",
        "Swin-L",
        "Objects365 pretraining",
        (),
        "1C9tjfR6puq6HUcLSwII74GRQBl-YCuD8",
        "swin-l-pretrain",
        220_491_860,
        892,
    ),
)

RELEASED_BY_NAME = {weights.name: weights for weights in RELEASED}
