"""Errors name arguments as the library calls them; a front end puts its own names there."""

from __future__ import annotations

import argparse
import ast
import multiprocessing
import pickle
import re
from pathlib import Path

import pytest

import transformers_uniref
from transformers_uniref.annotation.settings import AnnotationSettings
from transformers_uniref.core.errors import InvalidInputError
from transformers_uniref.evaluation import dataset_evaluation
from transformers_uniref.frontends.app.messages import LABELS, page_error
from transformers_uniref.frontends.cli import main as front_door
from transformers_uniref.frontends.cli.option_names import option_names
from transformers_uniref.frontends.errors import describe, is_users_mistake, translated

PACKAGE = Path(transformers_uniref.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


def texts(path: Path) -> list[tuple[int, str]]:
    """The string constants of a module with their lines, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    ]


def test_no_text_of_the_library_names_an_option_of_the_command_line() -> None:
    assert [
        f"{path.relative_to(PACKAGE)}:{line}: {option}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "frontends")
        for line, text in texts(path)
        for option in OPTION.findall(text)
    ] == []


def test_no_module_raises_an_error_whose_type_does_not_say_whose_it_is() -> None:
    plain = re.compile(
        r"\b(raise|return) (ValueError|TypeError|RuntimeError|Exception)\b|class \w+\((Value|Type)Error\)"
    )
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if plain.search(line)
    ]
    assert found == []


def test_the_error_keeps_what_it_is_made_of_and_says_it_in_one_line() -> None:
    error = InvalidInputError("shard_size", 0, "1 or more", "1000 is usual")
    assert (error.argument, error.got, error.accepted, error.hint) == ("shard_size", 0, "1 or more", "1000 is usual")
    assert str(error) == "`shard_size`: got 0; accepted: 1 or more; 1000 is usual"
    assert str(InvalidInputError("split", "'val'", "train")) == "`split`: got 'val'; accepted: train"
    assert is_users_mistake(error) and isinstance(error, ValueError)


def test_the_error_comes_whole_from_another_process() -> None:
    again = pickle.loads(pickle.dumps(InvalidInputError("split", "'val'", "train", "or test")))
    assert isinstance(again, InvalidInputError) and again.argument == "split"
    assert str(again) == "`split`: got 'val'; accepted: train; or test"
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(InvalidInputError) as caught:
        pool.apply(AnnotationSettings, kwds={"text_column": "text", "shard_size": 0})
    assert (caught.value.argument, caught.value.got) == ("shard_size", 0)


def test_an_argument_is_called_as_the_verb_calls_its_option() -> None:
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("pictures", nargs="+", metavar="PICTURE")
        parser.add_argument("-f", "--from", dest="source")
        parser.add_argument("--dataset")
        actions = parser.add_subparsers(dest="action")
        actions.add_parser("build").add_argument("-k", "--keep-column", action="append")

    assert option_names(add_arguments, {"dataset": "--from", "benchmark": "--dataset"}) == {
        "pictures": "PICTURE",
        "source": "--from",
        "dataset": "--from",
        "benchmark": "--dataset",
        "keep_column": "--keep-column",
        "keep_columns": "--keep-column",
    }


def test_every_verb_has_names_for_its_options() -> None:
    for verb in front_door.VERBS:
        names = option_names(front_door._verb_module(verb).add_arguments)
        for name, shown in names.items():
            assert name.isidentifier() and (shown.startswith("--") or not shown.startswith("-")), (verb, name, shown)
        assert "model" in names or "download" not in names, verb  # what is fetched is what the model is called


def test_arguments_that_a_front_end_has_are_translated_and_others_stay() -> None:
    error = ValueError("`output`: x is there; give `overwrite`, or see `uniref data build` and `other`")
    names = {"output": "--output", "overwrite": "--overwrite", "data": "--data"}
    assert describe(error, names) == "--output: x is there; give --overwrite, or see `uniref data build` and `other`"
    assert describe(error) == str(error)
    assert translated("`text` is empty", LABELS) == "what to look for is empty"


def test_the_page_puts_its_own_words_for_an_argument() -> None:
    pytest.importorskip("gradio")
    told = page_error(InvalidInputError("threshold", 2, "0 to 1"))
    assert "The score below which an object counts as absent: got 2; accepted: 0 to 1" in str(told)


def test_library_and_command_line_name_the_same_argument_each_in_its_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInputError, match="^`shard_size`: got 0; accepted: 1 or more$"):
        AnnotationSettings(text_column="text", shard_size=0)
    assert front_door.main(["annotate", "rows", "--text-column", "text", "--output", "out", "--shard-size", "0"]) == 2
    assert capsys.readouterr().err == "uniref: error: --shard-size: got 0; accepted: 1 or more\n"
    assert front_door.main(["annotate", "rows", "--output", "out"]) == 2
    said = "say what to look for: --text-column, or --reference-image with --reference-mask, or all of them"
    assert capsys.readouterr().err == f"uniref: error: {said}\n"


def test_notes_of_results_name_options_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"title": "LVOS", "split": "val", "task": "vos", "counts": {}, "measures": {}, "further": {}}
    settings = {"preset": None, "gate": None, "targets": "one", "references": "both", "sizes": {"video_size": {}}}
    found = summary | {"settings": settings, "notes": ["G needs the unseen categories (`unseen`)"]}
    monkeypatch.setattr(dataset_evaluation, "evaluate_dataset", lambda *_, **__: found)
    assert front_door.main(["evaluate", "--dataset", "lvos-v2", "--source", "rows", "--quiet"]) == 0
    assert capsys.readouterr().out.endswith("note: G needs the unseen categories (--unseen)\n")
