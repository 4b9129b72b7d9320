"""`--dtype` of every verb that computes: the saved type, a named one, or what is fast on the device."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from transformers_uniref.evaluation.model_answers import ModelAnswers
from transformers_uniref.frontends import loading
from transformers_uniref.frontends.cli.main import available_verbs, build_parser, main
from transformers_uniref.inference.pictures import segment_pictures
from transformers_uniref.modeling import precision


@pytest.fixture
def avx2_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "processor_features", lambda: frozenset({"avx2"}))
    monkeypatch.setattr(precision, "_told", set())


@pytest.mark.parametrize(
    "command",
    ["segment a.png", "track a.mp4", "evaluate", "annotate pictures --output out", "app", "demo"],
)
def test_every_verb_that_computes_has_the_option(command: str) -> None:
    for given, expected in (([], None), (["--dtype", "auto"], "auto"), (["--dtype", "bfloat16"], "bfloat16")):
        assert build_parser(available_verbs()).parse_args([*command.split(), *given]).dtype == expected


def test_auto_takes_what_is_fast_and_nothing_what_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    for features, fastest in (({"avx2"}, torch.float32), ({"amx_bf16"}, torch.bfloat16)):
        monkeypatch.setattr(precision, "processor_features", lambda found=features: frozenset(found))
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
        assert loading.load_model_and_processor(None, "cpu", "auto")[0].dtype == fastest
    assert loading.load_model_and_processor(None, "cpu")[0].dtype == torch.float32


def test_a_slow_type_is_a_line_of_warning_and_no_more(avx2_only: None, tmp_path, capsys) -> None:
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "a.png")
    options = ["--text", "a dog", "--dtype", "bfloat16", "--json", "--output", str(tmp_path / "out")]
    assert main(["segment", str(tmp_path / "a.png"), *options]) == 0
    told = capsys.readouterr()
    assert told.err.count("uniref: warning: this processor has no instructions for bfloat16") == 1
    assert json.loads(told.out)["image"].endswith("a.png")


def test_a_model_of_half_precision_answers_for_evaluations_and_the_page() -> None:
    model, processor = loading.load_model_and_processor(None, "cpu", "bfloat16")
    picture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    ((answer,),) = ModelAnswers(model, processor).to_sentences([picture], [["a dog"]])
    [[found]] = segment_pictures(model, processor, [(picture, ["a dog"])], threshold=0)
    assert answer.mask.shape == (48, 64) and 0 <= answer.score <= 1
    assert found.score == pytest.approx(float(answer.score), abs=0.01)
