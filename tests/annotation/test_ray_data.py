"""Annotating with Ray Data: two actors, one of them killed."""

from __future__ import annotations

import sys

import pytest

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

from annotation_support import annotate_rows, output_rows, table  # noqa: E402
from dying_annotator import DyingOnce  # noqa: E402
from places import environment  # noqa: E402
from transformers_uniref.annotation.ray_data import BatchAnnotator, annotate_dataset  # noqa: E402
from transformers_uniref.annotation.settings import AnnotationSettings  # noqa: E402

ROWS = 40
SETTINGS = AnnotationSettings(text_column="caption", id_column="id", batch_size=4)


@pytest.fixture
def cluster(monkeypatch):
    """On this machine; what it starts inherits the environment."""
    for name, value in environment(RAY_enable_worker_prestart="0").items():
        monkeypatch.setenv(name, value)
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def in_blocks(tmp_path):
    """Parquet files of four rows, so that there is work to divide."""
    for start in range(0, ROWS, 4):
        part = table(ROWS).select(range(start, start + 4))
        part.to_parquet(str(tmp_path / "rows" / f"{start:03d}.parquet"))
    return ray.data.read_parquet(str(tmp_path / "rows"))


def test_every_row_is_there_once_although_an_actor_was_killed(cluster, tmp_path):
    (tmp_path / "rows").mkdir()
    rows = in_blocks(tmp_path)
    found = annotate_dataset(rows, SETTINGS, name=str(tmp_path), actors=2, annotator=DyingOnce)
    found.write_parquet(str(tmp_path / "out" / "data"))
    log = (tmp_path / "log").read_text().splitlines()
    print(*log, sep="\n", file=sys.stderr)
    assert (tmp_path / "killed").exists() and len({line.split()[0] for line in log}) >= 2
    annotate_rows(table(ROWS), tmp_path / "alone")
    expected = {row["sample_id"]: row for row in output_rows(tmp_path / "alone")}
    given = output_rows(tmp_path / "out")
    assert sorted(row["sample_id"] for row in given) == sorted(expected)
    for row in given:
        assert row | {"source": "bright"} == expected[row["sample_id"]]


def test_rows_without_an_id_column_are_refused():
    import pyarrow as pa

    annotator = DyingOnce(AnnotationSettings(text_column="caption"))
    expected = "`id_column`: got none; accepted: with Ray, a column of the dataset: image, caption"
    with pytest.raises(ValueError, match=expected):
        BatchAnnotator.__call__(annotator, pa.table({"image": [b""], "caption": ["x"]}))
