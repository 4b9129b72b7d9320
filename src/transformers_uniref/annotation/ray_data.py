"""Annotating over a cluster, with Ray Data: rows in, annotated rows out, everything else is Ray's.

```python
import ray
from transformers_uniref.annotation.ray_data import annotate_dataset
from transformers_uniref.annotation.settings import AnnotationSettings

rows = ray.data.read_parquet("s3://bucket/pictures")
settings = AnnotationSettings(text_column="caption", id_column="id")
annotate_dataset(rows, settings, "me/my-model", actors=8, num_gpus=1).write_parquet("s3://bucket/annotated")
```

Ray gives the batches of an actor that died to another one, so that every row is in the result exactly once. Where rows
are stored, how often a batch is tried and how many actors there are is said to Ray (extra `ray`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ..core.errors import InvalidInputError
from ..core.families import DEFAULT_CHECKPOINT
from ..core.hub_reach import reach_options
from ..core.model_names import model_location
from ..core.optional import require
from .answering import Answering, ModelAnswering
from .bad_samples import BadSamples
from .columns import BadSampleError, choose_columns
from .pictures import load_picture
from .rows import annotated_features, annotated_row
from .settings import AnnotationSettings

logger = logging.getLogger(__name__)


class BatchAnnotator:
    """What an actor holds: a model that annotates one batch after another.

    Args:
        settings: of the annotation. `shard_size` and `batch_size` are Ray's business; `max_bad_samples` holds for each
            actor. An id column is needed, since rows of a Ray dataset have no numbers.
        model: folder, Hub id or name of a bundled model; None: the default.
        name: what the output calls the dataset.
        split: of the dataset, for the output.
        device: where to compute; None: CUDA where the actor was given a GPU.

    Raises:
        ValueError: see `ModelAnswering`.
    """

    def __init__(
        self,
        settings: AnnotationSettings,
        model: str | None = None,
        name: str = "",
        split: str = "train",
        device: str | None = None,
    ) -> None:
        self.settings = settings
        self.name = name
        self.split = split
        self.bad = BadSamples(settings.max_bad_samples, logger.warning)
        self.answering = self.load(model, device)

    def load(self, model: str | None, device: str | None) -> Answering:
        """The model, on its device."""
        import torch
        from transformers import AutoModel, AutoProcessor

        location = str(DEFAULT_CHECKPOINT) if model is None else model_location(model)
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        reach = reach_options(location)
        loaded = AutoModel.from_pretrained(location, **reach_options(location, model=True)).to(place).eval()
        return ModelAnswering(loaded, AutoProcessor.from_pretrained(location, **reach), self.settings)

    def __call__(self, table: Any) -> Any:
        """Annotates a batch.

        Args:
            table: a `pyarrow.Table` with the columns of the settings. Pictures are {"bytes", "path"}, encoded bytes,
                paths that every node can read, or arrays.

        Returns:
            A `pyarrow.Table` in the format of `uniref annotate`, without the rows that are skipped.

        Raises:
            ValueError: a column is missing, an id is empty, or more rows are bad than may be skipped.
        """
        import pyarrow as pa
        from datasets import Features

        columns = choose_columns(dict.fromkeys(table.column_names), self.settings)
        if columns.sample_id is None:
            found = ", ".join(table.column_names)
            raise InvalidInputError("id_column", "none", f"with Ray, a column of the dataset: {found}")
        kept = Features.from_arrow_schema(pa.schema([table.schema.field(name) for name in columns.kept]))
        schema = annotated_features(columns, kept, self.settings.copy_images).arrow_schema
        batch = []
        for number, row in enumerate(table.select(columns.all).to_pylist()):
            try:
                sample = columns.sample(row, number)
                batch.append((sample, load_picture(sample, Path(), self.settings.copy_images)))
            except BadSampleError as error:
                self.bad.add(error.sample_id, error.reason)
        answers = self.answering([(picture.pixels, sample.sentences) for sample, picture in batch])
        rows = [
            annotated_row(sample, picture, found, self.name, self.split, self.settings)
            for (sample, picture), found in zip(batch, answers, strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=schema)


def annotate_dataset(
    dataset: Any,
    settings: AnnotationSettings,
    model: str | None = None,
    *,
    name: str = "",
    split: str = "train",
    actors: int | tuple[int, int] = 1,
    annotator: type[BatchAnnotator] = BatchAnnotator,
    **options: Any,
) -> Any:
    """A Ray dataset of annotated rows; it is computed when it is written or read.

    Args:
        dataset: a `ray.data.Dataset`.
        settings, model, name, split: see [`BatchAnnotator`].
        actors: number of actors, or the least and the largest number of a pool that grows.
        annotator: the class of the actors.
        **options: for `ray.data.Dataset.map_batches`, such as `num_gpus=1`.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    data = require("ray.data", "ray", "annotating over a cluster")
    least, most = (actors, actors) if isinstance(actors, int) else actors
    return dataset.map_batches(
        annotator,
        fn_constructor_args=(settings, model, name, split),
        batch_size=settings.batch_size,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(min_size=least, max_size=most),
        **options,
    )
