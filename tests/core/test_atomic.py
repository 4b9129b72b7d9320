"""Saving is all or nothing: when the disk fills up, the previous save stays whole and loads."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from cli_support import content, save_tiny_checkpoint
from processor_support import small_processor
from transformers_uniref.core.atomic import saving_into
from transformers_uniref.frontends.cli.main import main


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes: the operating system refuses to write on, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_tiny_checkpoint(tmp_path / "saved")


def test_a_full_disk_leaves_the_previous_model_whole(saved: Path) -> None:
    before, model = content(saved), AutoModel.from_pretrained(saved)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    with room_for(200_000), pytest.raises(OSError, match="saved could not be written"):
        model.save_pretrained(saved)
    assert content(saved) == before
    with room_for(500), pytest.raises(OSError):
        model.config.save_pretrained(saved)
    assert content(saved) == before
    AutoModel.from_pretrained(saved)
    model.save_pretrained(saved)
    assert content(saved)["model.safetensors"] != before["model.safetensors"]


def test_a_full_disk_leaves_the_previous_processor_whole(saved: Path) -> None:
    before, processor = content(saved), AutoProcessor.from_pretrained(saved)
    processor.text_length = 5
    for room in (10, 400):  # too little for the tokenizer, and for the processor's configuration
        with room_for(room), pytest.raises(OSError):
            processor.save_pretrained(saved)
        assert content(saved) == before
    assert AutoProcessor.from_pretrained(saved).text_length == 77


def test_a_first_save_that_fails_leaves_no_folder(saved: Path, tmp_path: Path) -> None:
    model = AutoModel.from_pretrained(saved)
    with room_for(200_000), pytest.raises(OSError):
        model.save_pretrained(tmp_path / "deep" / "new")
    assert not (tmp_path / "deep").exists()


def test_a_conversion_onto_a_full_disk_is_one_line_and_leaves_the_previous_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from oracle_support.folder import find_oracle
    from oracle_support.models import write_checkpoint

    original, output = tmp_path / "original.pth", tmp_path / "model"
    write_checkpoint(find_oracle(), "small_r50", original)
    command = ["convert", str(original), str(output), "--text-encoder", "none"]
    command += ["--set", "text_config.num_attention_heads=4"]
    assert main(command) == 0
    before = content(tmp_path)
    with room_for(200_000):
        assert main([*command, "--overwrite"]) == 2
    assert "could not be written: " in capsys.readouterr().err.strip().splitlines()[-1]
    assert content(tmp_path) == before


def test_an_adapter_that_is_attached_is_saved_whole(saved: Path, tmp_path: Path) -> None:
    from peft import LoraConfig

    model = AutoModel.from_pretrained(saved)
    model.add_adapter(LoraConfig(r=2, target_modules=["query"]))
    model.save_pretrained(tmp_path / "adapter")
    before = content(tmp_path / "adapter")
    assert set(before) == {"adapter_config.json", "adapter_model.safetensors"}
    with room_for(300), pytest.raises(OSError):
        model.save_pretrained(tmp_path / "adapter")
    assert content(tmp_path / "adapter") == before


def test_a_save_replaces_what_it_writes_and_leaves_the_rest(saved: Path) -> None:
    (saved / "notes.txt").write_text("mine")
    model = AutoModel.from_pretrained(saved)
    model.save_pretrained(saved, max_shard_size="500KB")
    names = set(content(saved))
    assert "model.safetensors.index.json" in names and "model.safetensors" not in names and "notes.txt" in names
    model.save_pretrained(saved)
    assert {name for name in content(saved) if "safetensors" in name} == {"model.safetensors"}
    assert not [path for path in saved.iterdir() if path.name.startswith(".")]


def test_saving_into_a_file_is_refused(saved: Path) -> None:
    with pytest.raises(FileExistsError, match="a folder is needed"):
        AutoModel.from_pretrained(saved).save_pretrained(saved / "config.json")


def test_a_processor_names_the_files_where_they_are(tmp_path: Path) -> None:
    assert small_processor().save_pretrained(tmp_path / "p") == [str(tmp_path / "p" / "processor_config.json")]


def test_a_failure_in_between_leaves_nothing_temporary(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(RuntimeError), saving_into(tmp_path / "folder") as staged:
        (staged / "a").write_text("half")
        raise RuntimeError
    assert content(tmp_path) == {} and list((tmp_path / "folder").iterdir()) == []


def test_classes_that_were_trusted_do_not_copy_their_modules(saved: Path, tmp_path: Path) -> None:
    model, processor = AutoModel.from_pretrained(saved), AutoProcessor.from_pretrained(saved)
    things: list[Any] = [model, model.config, processor, processor.image_processor]
    for thing in things:
        type(thing).register_for_auto_class("AutoModel")
    model.save_pretrained(tmp_path / "copy")
    processor.save_pretrained(tmp_path / "copy")
    assert not list((tmp_path / "copy").glob("*.py"))


def test_the_bundled_model_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers_uniref import UniRefConfig, UniRefModel, UniRefProcessor
    from transformers_uniref.core.model_names import bundled_checkpoints

    monkeypatch.chdir(tmp_path)  # where no folder has that name
    config = UniRefConfig.from_pretrained("uniref-pp")
    assert config.d_model == UniRefModel.from_pretrained("uniref-pp").config.d_model
    assert UniRefProcessor.from_pretrained("uniref-pp").tokenizer is not None
    small = UniRefConfig.from_pretrained(bundled_checkpoints()["uniref-pp"])
    small.num_queries = config.num_queries + 1
    small.save_pretrained(tmp_path / "uniref-pp")
    assert UniRefConfig.from_pretrained("uniref-pp").num_queries == small.num_queries
