"""An id that is not in the cache is missing at once where the Hub cannot be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from cli_support import save_tiny_checkpoint
from transformers_uniref import UniRefConfig, UniRefModel, UniRefProcessor
from transformers_uniref.adapters.folders import AdapterError, base_of, require_base
from transformers_uniref.core import hub_reach
from transformers_uniref.frontends.errors import UserError
from transformers_uniref.frontends.loading import load_model_and_processor

NOWHERE = "http://127.0.0.1:9"
"""The port of `discard`, at which nobody listens."""


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A machine that is not told that it is offline, and whose Hub does not answer; a list of the pauses made."""
    pauses: list[float] = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(hub_reach, "_answers", {})
    monkeypatch.setattr(time, "sleep", pauses.append)
    yield pauses


@pytest.mark.parametrize("kind", [UniRefConfig, UniRefModel, UniRefProcessor])
def test_what_is_neither_here_nor_in_the_cache_is_missing_without_a_pause(kind: Any, no_hub: list[float]) -> None:
    with pytest.raises(OSError):
        kind.from_pretrained("nobody/nothing")
    assert no_hub == []


def test_the_command_line_says_why_and_what_may_have_been_meant(no_hub: list[float]) -> None:
    with pytest.raises(UserError, match=f"nobody/nothing: there is no such folder, .* {NOWHERE} cannot be reached$"):
        load_model_and_processor("nobody/nothing", "cpu")
    with pytest.raises(UserError, match=r"cannot be reached; did you mean uniref-pp\?"):
        load_model_and_processor("uniref-p", "cpu")
    assert no_hub == []


def test_an_adapter_and_its_base_are_looked_for_without_a_pause(no_hub: list[float], tmp_path: Path) -> None:
    assert base_of("nobody/adapter") is None
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "nobody/base"}))
    with pytest.raises(
        AdapterError, match="is an adapter for nobody/base, which cannot be loaded: there is no such fol"
    ):
        require_base(tmp_path, base_of(tmp_path) or "")
    assert no_hub == []


def test_a_folder_and_a_model_in_the_cache_load_without_the_hub(
    no_hub: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache as a visit leaves it: only what the repository has is there, optional files are not."""
    folder = save_tiny_checkpoint(tmp_path / "model")
    assert hub_reach.reach_options(folder) == {}
    repository = tmp_path / "cache" / "models--me--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots").mkdir()
    folder.rename(repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    model, processor = load_model_and_processor("me/tiny", "cpu")
    assert model.config.model_type == "uniref" and processor.tokenizer is not None
    assert no_hub == []


def test_whoever_is_told_to_be_offline_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub_reach, "_answers_now", lambda endpoint: pytest.fail("the Hub was asked"))
    assert hub_reach.reach_options("nobody/nothing") == {}
    assert "HF_HUB_OFFLINE" in hub_reach.why_not_here("nobody/nothing")


def test_a_hub_that_answers_is_asked_as_ever_and_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub_reach, "_answers", {})
    monkeypatch.setattr(hub_reach, "_answers_now", lambda endpoint: asked.append(endpoint) is None)
    assert hub_reach.reach_options("nobody/nothing") == {} == hub_reach.reach_options("nobody/else")
    assert asked == [constants.ENDPOINT] and hub_reach.why_not_here("nobody/nothing") == ""


def test_a_process_without_a_network_ends_with_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": NOWHERE, "HF_HOME": str(tmp_path)}
    words = [sys.executable, "-m", "transformers_uniref", "export", "nobody/nothing", "--onnx", "--output", "out"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 2 and "Retry" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("uniref: error: ")
