"""The promises that the repository's own files make to each other."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest

import transformers_uniref

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def first_code_blocks() -> list[str]:
    return re.findall(r"```bash\n(.*?)\n```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_readme_begins_with_one_command_each_for_demo_and_tests() -> None:
    demo, tests = first_code_blocks()[:2]
    for command in (demo, tests):
        assert "\n" not in command
        assert command.startswith("python -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e ")
    assert demo.endswith("&& .venv/bin/uniref demo")
    assert "-m pytest" in tests


def test_ci_runs_exactly_the_readme_test_command() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[-1] == first_code_blocks()[1]


def test_constraints_pin_versions_and_nothing_else() -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
    pinned = {normalised(pin.split("==")[0]) for pin in pins}
    extras = PROJECT["optional-dependencies"]
    needed = [*PROJECT["dependencies"], *extras["test"], *extras["video"], *extras["train"]]
    for requirement in needed:
        name = normalised(re.split(r"[\[<>=~!; ]", requirement)[0])
        assert name in pinned | {"transformers-uniref"}, requirement


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_dependency_brings_torchvision() -> None:
    everything = [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]
    assert not [requirement for requirement in everything if "torchvision" in requirement]
    assert "torchvision" not in (ROOT / "constraints.txt").read_text()


def test_versions_agree() -> None:
    version = transformers_uniref.__version__
    assert PROJECT["version"] == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert version in (ROOT / "CHANGELOG.md").read_text()


def test_package_is_typed_and_licensed() -> None:
    assert (ROOT / "src" / "transformers_uniref" / "py.typed").is_file()
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert PROJECT["license"] == "Apache-2.0"


@pytest.mark.parametrize("folder", ["modeling", "processors", "data"])
def test_modules_import_only_from_the_layers_below_them(folder: str) -> None:
    forbidden = {
        "modeling": ("training", "data", "pipelines", "cli", "processors"),
        "processors": ("training", "data", "pipelines", "cli", "modeling"),
        "data": ("training", "modeling", "pipelines", "cli"),
    }[folder]
    pattern = re.compile(rf"^(?:from|import) +(?:\.\.|transformers_uniref\.)({'|'.join(forbidden)})\b", re.MULTILINE)
    for file in (ROOT / "src" / "transformers_uniref" / folder).rglob("*.py"):
        assert not pattern.search(file.read_text()), file
