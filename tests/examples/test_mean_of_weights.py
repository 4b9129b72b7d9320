"""Means of models and of checkpoints, by the example that makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("accelerate")

from transformers import AutoModel, AutoProcessor  # noqa: E402

from cli_support import save_tiny_checkpoint, tiny_config  # noqa: E402
from transformers_uniref import UniRefModel  # noqa: E402
from transformers_uniref.training.checkpointing import save_checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A model, a model with other weights, and a checkpoint whose averages are others again."""
    folder = tmp_path_factory.mktemp("sources")
    first = save_tiny_checkpoint(folder / "first")
    model = AutoModel.from_pretrained(first)
    averages = {name: torch.full_like(value, 2.0) for name, value in model.named_parameters()}
    checkpoint = save_checkpoint(
        folder / "checkpoints", 3, {"model": model.state_dict(), "ema": {"parameters": averages}}, keep=1
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    model.save_pretrained(folder / "second")
    return first, folder / "second", checkpoint


def test_the_mean_of_models_and_a_checkpoint(example: Any, sources: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, second, checkpoint = sources
    code, said, _ = example("mean_of_weights", tmp_path / "out", f"{first}=0.5", f"{second}=0.25", f"{checkpoint}=0.25")
    assert code == 0 and "parameters in" in said
    start, mean = (AutoModel.from_pretrained(folder) for folder in (first, tmp_path / "out"))
    buffers = dict(start.named_buffers())
    for name, value in mean.state_dict().items():
        expected = start.state_dict()[name]
        if name not in buffers:
            expected = 0.5 * expected + 0.25 + 0.5
        torch.testing.assert_close(value, expected)
    assert AutoProcessor.from_pretrained(tmp_path / "out").image_processor is not None


def test_what_cannot_be_mixed_is_refused(example: Any, sources: tuple[Path, Path, Path], tmp_path: Path) -> None:
    first, second, checkpoint = sources
    other = tmp_path / "other"
    config = tiny_config()
    config.num_queries += 1
    UniRefModel(config).save_pretrained(other)
    out = tmp_path / "out"
    for arguments, expected in (
        ([f"{first}=0.5", f"{second}=0.4"], "shares sum to 0.9"),
        ([f"{checkpoint}=0.5", f"{first}=0.5"], "the first has to be a model"),
        ([f"{first}=0.5", f"{other}=0.5"], "its weights are not those of"),
        ([f"{first}"], "expected SOURCE=SHARE"),
        ([f"{first}=half"], "expected SOURCE=SHARE"),
        ([f"{tmp_path / 'missing'}=1"], "missing"),
    ):
        code, said, _ = example("mean_of_weights", out, *arguments)
        assert code == 2 and expected in said, (arguments, said)
        assert not out.exists()
    assert example("mean_of_weights", first, f"{first}=1")[0] == 2
