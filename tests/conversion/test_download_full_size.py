"""The authors' R50 as large as it is, with random numbers in it: from the server to an answer about a photograph."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from drive_server import DriveFile, DriveServer
from oracle_support.folder import SUBSET
from places import SOURCE
from transformers_uniref.core.released_models import RELEASED_BY_NAME
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.verification.drawn_weights import original_state_dict

pytestmark = pytest.mark.slow
PHOTO = SOURCE / "transformers_uniref" / "frontends" / "app" / "examples" / "zebra.jpg"


def bert_tokenizer(folder: Path) -> Path:
    """As many tokens as BERT's, most of them unused."""
    from transformers import BertTokenizerFast

    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "the",
        "zebra",
        "on",
        "left",
        "swan",
        "black",
        "cat",
        "pizza",
    ]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join([*words, *(f"[unused{number}]" for number in range(30522 - len(words)))]))
    BertTokenizerFast(str(vocabulary)).save_pretrained(folder / "bert")
    return folder / "bert"


def test_the_full_r50_is_downloaded_checked_converted_loaded_and_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from transformers import pipeline

    with gzip.open(SUBSET / "manifests" / "full_r50_video.json.gz", "rt") as file:
        entries: list[dict[str, Any]] = json.load(file)["entries"]
    original = tmp_path / "video-joint_r50.pth"
    torch.save({"model": original_state_dict(entries)}, original)
    monkeypatch.setenv("UNIREF_HOME", str(tmp_path / "home"))
    weights = RELEASED_BY_NAME["uniref-pp-r50"]
    with DriveServer(tmp_path) as drive:
        for name, value in drive.environment().items():
            monkeypatch.setenv(name, value)
        drive.files[weights.drive_id] = DriveFile(original, "confirm", breaks_after=[0, 300_000_000])
        command = ["download", weights.name, "--text-encoder", str(bert_tokenizer(tmp_path)), "--json"]
        assert main(command) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["name"] == weights.name and not made["was_here"]
    ask = pipeline("referring-segmentation", model=weights.name)
    assert sum(parameter.numel() for parameter in ask.model.parameters()) == pytest.approx(weights.parameters, rel=0.01)
    [found] = ask(str(PHOTO), text="the zebra on the left")
    assert 0 < found["score"] < 1 and found["mask"].size == (480, 320)
    assert main(["segment", str(PHOTO), "--text", "the zebra", "--model", weights.name, "--all"]) == 0
    capsys.readouterr()
    assert main(["verify", weights.name, "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["equal_to_released_code"] and len(told["answers"]) == 5
