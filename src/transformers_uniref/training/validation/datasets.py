"""What a run on datasets is measured on: rows of `validation.datasets`, as they are, without augmentation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from ...core.errors import UsageError
from ...datasets.schema import Record
from ...processors.image_sizes import resized_size
from ..config.data import CropConfig, DatasetConfig
from ..config.loop import ValidationConfig
from ..data.collation import Batch, Collator
from ..data.dataset_source import IndexedDataset, open_dataset
from ..data.geometry import Picture, resize
from ..data.questions import meant_groups, segmented, shown_frames
from ..data.sample_makers import BatchKind, SampleSpec, UnusableRecordError, draw_kind, make_sample
from ..data.samples import Sample
from .propagation import Clip

logger = logging.getLogger(__name__)

CLIP_FRAMES = 8
_KIND, _SAMPLE = range(2)

Made = TypeVar("Made")


def as_measured(config: DatasetConfig) -> DatasetConfig:
    """The dataset without crops, flips and colours; of several short sides the middle one.

    Pseudo-videos keep the frames that they would have in training, always the same ones.
    """
    sides = sorted(config.short_sides)
    return dataclasses.replace(
        config,
        flip=0.0,
        colour=0.0,
        crop=CropConfig(probability=0.0),
        short_sides=[sides[len(sides) // 2]],
    )


class DatasetPart:
    """Rows of one dataset (a `ValidationPart`). They are read anew every time; none is kept.

    Args:
        validation: `rows` of it are asked about, spread evenly, and `clips` of them followed.
        seed: of the run and the number of the dataset in its validation.
        opened: the dataset, where it is open already.

    Raises:
        ValueError: it cannot be opened, lacks a column, or has no row for its task.
    """

    def __init__(
        self,
        config: DatasetConfig,
        validation: ValidationConfig,
        seed: tuple[int, int],
        collator: Collator,
        opened: Any = None,
    ) -> None:
        self.config = as_measured(config)
        self.seed = seed
        self.collator = collator
        self.source = IndexedDataset(
            self.config, seed, aspect_grouping=False, dataset=open_dataset(self.config, seed[0], opened)
        )
        count = len(self.source)
        wanted = min(validation.rows or count, count)
        self.rows = self.source.usable[np.linspace(0, count - 1, wanted).round().astype(np.int64)]
        self._clip_rows = self.rows[: validation.clips] if self.config.is_clip else self.rows[:0]
        self._reported: set[str] = set()
        self.prefix = f"{config.name}/"
        self.modes: tuple[str, ...] = ("vos",) if config.task == "vos" else ("rvos", "conflict")
        self.summary = f"{config.name} ({config.task}, {len(self.rows)} of {count} rows)"

    def batches(self) -> Iterator[Batch]:
        """Rows that cannot be read are reported once and left out."""
        config, source, size = self.config, self.source, self.config.batch_size
        for number, start in enumerate(range(0, len(self.rows), size)):
            kind = draw_kind(config, np.random.default_rng((*self.seed, _KIND, number)))

            def sample_of(row: int, kind: BatchKind = kind) -> Sample:
                rng = np.random.default_rng((*self.seed, _SAMPLE, row))
                record = source.record(row)
                return make_sample(SampleSpec(config, record, kind, rng, row, source.record, source.categories))

            samples = self._made(sample_of, self.rows[start : start + size])
            if samples:
                yield self.collator(samples, full_resolution_masks=True if config.full_resolution_masks else None)

    def clips(self) -> list[Clip]:
        return self._made(lambda row: clip_of(self.source.record(row), self.config), self._clip_rows)

    def _made(self, make: Callable[[int], Made | None], rows: np.ndarray) -> list[Made]:
        """What can be made of some rows."""
        made = []
        for row in rows.tolist():
            try:
                made.append(make(row))
            except UnusableRecordError:
                continue
            except MemoryError:
                raise
            except Exception as error:  # whatever a broken file makes a decoder raise
                sample_id = self.source.sample_id(row)
                if sample_id not in self._reported:
                    self._reported.add(sample_id)
                    logger.warning("validation leaves out %s: %s: %s", sample_id, type(error).__name__, error)
        return [one for one in made if one is not None]


def clip_of(record: Record, config: DatasetConfig) -> Clip | None:
    """The first annotated frames of a record, `CLIP_FRAMES` at most, from the first in which an object shows.

    Returns:
        the clip at the size of the dataset; None where fewer than two frames are left.

    Raises:
        OSError, ValueError: a picture or mask cannot be read, or frames differ in size.
    """
    objects = [instance.object_id for instance in segmented(record)]
    # Sentences about several objects at once have no place in a label map.
    meant = {group[0]: texts for group, texts in meant_groups(record).items() if len(group) == 1}
    asked = [number for number in objects if config.task == "vos" or number in meant]
    begins = [shown[0] for number in asked if (shown := shown_frames(record, (number,)))]
    if not begins:
        return None
    times = [frame for frame in range(min(begins), len(record)) if record.annotated[frame]][:CLIP_FRAMES]
    if len(times) < 2:
        return None
    frames, labels = [], []
    for time in times:
        image = record.image(time)
        size = (image.shape[0], image.shape[1])
        masks = np.stack([record.instances[number].mask(time, size) for number in objects])
        wanted = resized_size(*size, {"shortest_edge": config.short_sides[0], "longest_edge": config.longest_side})
        picture = resize(Picture(image, masks, np.zeros((0, 4))), wanted)
        label_map = np.zeros(picture.size, dtype=np.int32)
        for number, mask in zip(objects, picture.masks, strict=True):
            label_map[mask] = number
        frames.append(picture.image)
        labels.append(label_map)
    if len({frame.shape for frame in frames}) > 1:
        raise UsageError("its frames differ in size")
    return Clip(np.stack(frames), np.stack(labels), {number: list(texts) for number, texts in meant.items()})
