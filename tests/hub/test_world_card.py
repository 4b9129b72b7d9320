"""The card of a world model states what was measured, and says where it falls short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from transformers_uniref.hub.world_card import WANTED, measured_table, render_world_card


def evaluation(met: bool) -> dict[str, dict[str, float]]:
    values: dict[str, dict[str, float]] = {}
    for _, section, key, bound, less in WANTED:
        values.setdefault(section, {})[key] = bound + (-0.01 if less == met else 0.01)
    return values


def test_every_row_of_the_table_is_judged():
    table, short = measured_table(evaluation(met=True))
    assert short == [] and table.count("\n") == len(WANTED) + 1
    assert measured_table(evaluation(met=False))[1] == [row[0] for row in WANTED]


def test_the_card_names_what_falls_short():
    values = evaluation(met=True)
    values["vos"]["jf"] = 0.5
    card = render_world_card(
        "uniref-pp",
        values,
        training="Trained for 3 steps.",
        parameters=8_080_000,
        text_length=24,
        vocabulary=180,
        seed=7,
        images=400,
        clips=100,
    )
    assert card.startswith("---\n")
    data = ModelCard(card).data
    assert (data.library_name, data.license, data.pipeline_tag) == ("transformers", "apache-2.0", "image-segmentation")
    assert {result.metric_name: result.metric_value for result in data.eval_results}["vos.jf"] == 0.5
    assert "| VOS J&F | at least 0.92 | 0.500 |" in card
    assert "**Short of what is wanted:** VOS J&F." in card
    assert "8.1 M parameters" in card and "Trained for 3 steps." in card
    assert "{{" not in card


def test_a_model_that_saw_photographs_says_what_it_reaches_on_them_and_on_real_clips():
    scores = {"J": 0.5, "F": 0.25, "J&F": 0.375, "J decay": 0.1}
    clips = {
        "sequences": {"duck": {"model": scores, "first mask kept": scores}},
        "mean": {"model": scores, "first mask kept": scores},
    }
    numbers = dict.fromkeys(("parameters", "text_length", "vocabulary", "seed", "images", "clips"), 1)
    without = render_world_card("uniref-pp", evaluation(met=True), training="", **numbers)
    card = render_world_card(
        "uniref-pp",
        evaluation(met=True),
        training="",
        **numbers,
        real_clips=clips,
        photographs=[
            ("one object: mean IoU", "at least .52", ".531", True),
            ("human: mean IoU", "at least .5", ".1", False),
        ],
    )
    row = "| 0.500 / 0.250 / 0.375 | 0.500 / 0.250 / 0.375 |"
    assert "no better than repeating the first mask** (J 0.500 and 0.500)" in card
    assert f"| duck {row}" in card and f"| mean {row}" in card
    assert "| one object: mean IoU | at least .52 | .531 |" in card and "## Measured on drawings" in card
    assert "**Short of what is wanted:** human: mean IoU." in card
    assert "never seen a photograph" not in card and "not usable" not in card
    assert "never seen a photograph" in without and "not usable" in without and "## Measured\n" in without
    assert "MiniLM" not in without and "{{" not in card + without


def test_the_code_in_the_card_runs_as_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers = dict.fromkeys(("parameters", "text_length", "vocabulary", "seed", "images", "clips"), 1)
    card = render_world_card("uniref-pp", evaluation(met=True), training="", **numbers)
    (code,) = re.findall(r"```python\n(.*?)\n```", card, flags=re.DOTALL)
    exec(compile(code, "card", "exec"), {})
    assert (tmp_path / "mask.png").is_file() and capsys.readouterr().out
