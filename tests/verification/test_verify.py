"""`uniref verify`: a model tried, the released code's numbers, and the paper's table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from transformers_uniref.core.released_models import RELEASED_BY_NAME
from transformers_uniref.frontends.cli.main import main
from transformers_uniref.verification import released_numbers
from transformers_uniref.verification.published_table import measure_published

NAMES = ["zebra.jpg, by “the zebra on the left”", "pizza.jpg, by “the pizza”", "cat_01.jpg, by “the cat”"]


def test_this_machine_computes_what_the_released_code_computed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", "uniref-pp", "--json", "--quiet", "--output", str(tmp_path / "out")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["equal_to_released_code"] and len(told["released_code"]) == 10
    assert all(row["difference"] > 0 for row in told["released_code"])  # it was computed, not copied
    assert [trial["question"] for trial in told["answers"]][:3] == NAMES and len(told["answers"]) == 5
    assert all(trial["seconds"] > 0 for trial in told["answers"]) and told["peak_bytes"] > 1e8
    pictures = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in pictures] == [f"answer-{number}.png" for number in range(1, 6)]
    assert Image.open(pictures[0]).size == Image.open(released_pictures() / "zebra.jpg").size


def released_pictures() -> Path:
    from transformers_uniref.verification.trial import PICTURES

    return PICTURES


def test_a_machine_that_computes_something_else_is_told_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from transformers_uniref.verification import trial

    monkeypatch.setattr(trial, "try_model", lambda *_: [])
    different = [released_numbers.Comparison("a sentence: masks", 0.1, 2e-3)]
    monkeypatch.setattr(released_numbers, "compare_with_released_code", lambda device: different)
    assert main(["verify", "uniref-pp", "--quiet"]) == 1
    said = capsys.readouterr().out
    assert "1.0e-01     2e-03  DIFFERENT" in said and "computes something else" in said


def test_the_papers_table_is_measured_where_the_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers_uniref.evaluation import dataset_evaluation

    asked: list[tuple[str, str, str]] = []

    def evaluate(model: Any, processor: Any, folder: str, name: str, **options: Any) -> dict[str, Any]:
        asked.append((Path(folder).name, options["split"], options["preset"]))
        if name == "fss-1000":
            raise ValueError("`dataset` has no rows")
        return {"measures": {} if name == "youtube-vos-2018" else {"oIoU": 0.7563, "J&F": 0.8}}

    monkeypatch.setattr(dataset_evaluation, "evaluate_dataset", evaluate)
    for name in ("refcoco", "fss-1000", "davis-2017", "youtube-vos-2018"):
        (tmp_path / name).mkdir()
    weights = RELEASED_BY_NAME["uniref-pp-r50"]
    rows = {(row.figure.dataset, row.figure.split): row for row in measure_published(weights, None, None, tmp_path)}
    assert len(rows) == len(weights.figures)
    assert rows["refcoco", "val"].measured == pytest.approx(75.63) == rows["refcoco", "val"].figure.value
    assert rows["davis-2017", "val"].measured == pytest.approx(80.0)
    assert rows["refcoco+", "val"].note == "not in the source"
    assert rows["fss-1000", "test"].note == "`dataset` has no rows"
    assert "give `output`" in rows["youtube-vos-2018", "valid"].note
    assert {preset for _, _, preset in asked} == {"paper"}
    assert ("refcoco", "testB", "paper") in asked and not any(name == "youtube-vos-2018" for name, _, _ in asked)
    rows_with_output = measure_published(weights, None, None, tmp_path, output=tmp_path / "out")
    [kept] = [row for row in rows_with_output if row.figure.dataset == "youtube-vos-2018"]
    assert kept.note.startswith("submission in") and kept.measured is None


def test_a_table_needs_published_figures_and_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["verify", "uniref-pp", "--source", str(tmp_path)]) == 2
    assert "nothing was published for uniref-pp" in capsys.readouterr().err
    assert main(["verify", "uniref-pp-r50", "--source", str(tmp_path / "none")]) == 2
    assert "--source must be a folder" in capsys.readouterr().err
    assert main(["verify", "uniref-pp-r50"]) == 2
    assert "not on this machine yet: uniref download uniref-pp-r50" in capsys.readouterr().err
