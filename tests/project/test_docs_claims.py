"""What the documentation names exists: recipes, their options, modules, scripts; and its numbers are measured ones."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from places import ROOT
from transformers_uniref.training import bundled_configs, load_config

PACKAGE = ROOT / "src" / "transformers_uniref"
CARD = PACKAGE / "checkpoints" / "uniref-pp" / "README.md"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words behind `program` in the shell commands of a page, up to the command's end."""
    for block in re.findall(r"^ *```(?:bash|console)\n(.*?)^ *```", page.read_text(), flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if program in words:
                rest = words[words.index(program) + 1 :]
                ends = [index for index, word in enumerate(rest) if word in ("&&", "||", "|", ">", ";")]
                yield rest[: ends[0]] if ends else rest


def uniref_commands(page: Path) -> Iterator[list[str]]:
    for program in ("uniref", ".venv/bin/uniref", "transformers_uniref"):
        yield from commands(page, program)


def option_names(words: list[str]) -> set[str]:
    return {word.split("=")[0] for word in words if word.startswith("--")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_recipe_and_override_of_a_page_exists(page: Path) -> None:
    for words in uniref_commands(page):
        if words[:1] != ["train"] or len(words) < 2 or words[1].startswith("--") or words[1].isupper():
            continue
        if words[1].endswith(".yaml"):
            continue
        assert words[1] in bundled_configs(), words[1]
        overrides = [words[index + 1] for index, word in enumerate(words) if word == "--override"]
        load_config(words[1], overrides)  # names an option that does not exist


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_of_the_package_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|yaml))`", page.read_text())
    for name in named:
        homes = [home for home in (ROOT, PACKAGE) if (home / name.split("/")[0]).is_dir()]
        assert not homes or any((home / name).is_file() for home in homes), name  # no home: a file of another project


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_script_that_a_page_runs_exists_with_its_options(page: Path) -> None:
    for words in commands(page, "python"):
        if not words or not words[0].startswith(("benchmarks/", "examples/")):
            continue
        script = ROOT / words[0]
        assert script.is_file(), words[0]
        source = script.read_text() + (ROOT / "examples" / "finetuning.py").read_text()
        assert not [option for option in option_names(words) if f'"{option}"' not in source], words


def test_the_architecture_page_names_what_its_modules_define() -> None:
    named = re.findall(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", (ROOT / "docs" / "architecture.md").read_text())
    assert len(named) > 5
    for path, names in named:
        tree = ast.parse((PACKAGE / path).read_text())
        defined = {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        assert set(re.findall(r"\w+", names)) <= defined, path


def table_rows(page: Path) -> list[tuple[str, ...]]:
    lines = re.findall(r"^\|(.+)\|$", page.read_text(), flags=re.MULTILINE)
    return [tuple(cell.strip() for cell in line.split("|")) for line in lines]


def test_the_limits_are_those_of_the_bundled_models_card() -> None:
    card = set(table_rows(CARD))
    rows = [row for row in table_rows(ROOT / "docs" / "limits.md") if row[1:2] and row[1].startswith("at ")]
    assert rows and set(rows) <= card
    missed = re.search(r"\*\*Short of what is wanted:\*\* (.+)\.", CARD.read_text())
    assert missed is not None and {row[0] for row in rows} == set(missed[1].split("; "))


def test_the_performance_guide_gives_measured_numbers_alone() -> None:
    measured = set(table_rows(ROOT / "benchmarks" / "README.md"))
    rows = [row for row in table_rows(ROOT / "docs" / "performance_guide.md") if not set(row[0]) <= set("-: ")]
    assert len(rows) > 6 and set(rows) <= measured
