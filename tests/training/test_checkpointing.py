"""The checkpoints that a run keeps."""

from __future__ import annotations

import pytest

pytest.importorskip("accelerate")

from transformers_uniref.training.checkpointing import list_checkpoints, save_checkpoint  # noqa: E402


def test_checkpoints_are_kept_to_a_number_and_never_half_written(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, {"step": step}, keep=2)
    (tmp_path / "step-00000009.partial").mkdir()
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000002", "step-00000003"]
