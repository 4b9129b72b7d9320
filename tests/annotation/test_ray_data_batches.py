"""What an actor of Ray Data does with its batches, without Ray: the rows of `uniref annotate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")

from annotation_support import BrightPixels, annotate_rows, output_rows, table  # noqa: E402
from transformers_uniref.annotation.ray_data import BatchAnnotator  # noqa: E402
from transformers_uniref.annotation.settings import AnnotationSettings  # noqa: E402

SETTINGS = AnnotationSettings(text_column="caption", id_column="id", batch_size=4, max_bad_samples=1)


class Bright(BatchAnnotator):
    """Needs no model."""

    def load(self, model: str | None, device: str | None) -> Any:
        return BrightPixels()


def batches(rows: int) -> list[Any]:
    whole = table(rows).data.table
    return [whole.slice(start, 4) for start in range(0, rows, 4)]


def test_batches_become_the_rows_of_an_annotation_on_one_machine(tmp_path: Path) -> None:
    annotator = Bright(SETTINGS, name="bright")
    made = pa.concat_tables([annotator(batch) for batch in batches(10)])
    annotate_rows(table(10), tmp_path / "alone", id_column="id")
    assert made.to_pylist() == output_rows(tmp_path / "alone")


def damaged(batch: Any, number: int) -> Any:
    """The batch with something that is no picture in one of its rows."""
    images = batch["image"].to_pylist()
    images[number] = {"bytes": b"no picture", "path": None}
    column = batch.schema.get_field_index("image")
    return batch.set_column(column, batch.schema.field("image"), pa.array(images, batch.schema.field("image").type))


def test_bad_rows_are_left_out_and_a_batch_that_comes_again_counts_once() -> None:
    annotator = Bright(SETTINGS)
    batch = batches(4)[0]
    for _ in range(2):
        assert annotator(damaged(batch, 0))["sample_id"].to_pylist() == ["id-1", "id-2", "id-3"]
    with pytest.raises(ValueError, match="sample id-2 cannot be annotated.*`max_bad_samples` allows 1"):
        annotator(damaged(batch, 2))
