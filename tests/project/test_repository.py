"""The promises that the repository's own files make to each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import transformers_uniref
from places import ROOT, SOURCE, environment

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


def test_ci_has_a_job_with_all_that_tests_skip_without() -> None:
    job = (ROOT / ".github" / "workflows" / "tests.yml").read_text().split("  everything:\n")[1]
    assert "--no-skips" in job and '-m "slow or not slow"' in job
    installed = {normalised(re.split("==", name)[0]) for name in re.search("PACKAGES: (.*)", job)[1].split()}  # type: ignore[index]
    extras = re.search("EXTRAS: (.*)", job)[1].split(",")  # type: ignore[index]
    while extras:
        for requirement in PROJECT["optional-dependencies"][extras.pop()]:
            if own := re.fullmatch(r"transformers-uniref\[(.*)\]", requirement):
                extras += own[1].split(",")
            installed.add(normalised(re.split(r"[\[<>=~!; ]", requirement)[0]))
    wanted = set()
    for file in (ROOT / "tests").rglob("*.py"):
        wanted |= set(re.findall(r'importorskip\("(\w+)', file.read_text()))
    module_of_another = {"yaml": "pyyaml", "pyarrow": "datasets"}
    parts_of_python, made_up = {"resource"}, {"no_such_package"}
    assert {normalised(module_of_another.get(name, name)) for name in wanted - parts_of_python - made_up} <= installed


SKIPPING = """
import pytest

def test_an_extra():
    pytest.importorskip("no_such_package")

@pytest.mark.skipif(True, reason="the clip is not beside the repository")
def test_a_file():
    raise AssertionError
"""


def test_nothing_skips_where_everything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "test_here.py").write_text(SKIPPING)
    (tmp_path / "test_whole_file.py").write_text("import pytest\npytest.importorskip('no_such_package')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no_skips", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)

    assert "3 skipped" in run().stdout
    assert "1 error" in run("--no-skips").stdout
    done = run("--no-skips", "test_here.py")
    assert "1 failed, 1 skipped" in done.stdout and "could not import 'no_such_package'" in done.stdout, done.stdout


def test_tests_lie_as_the_source_does() -> None:
    tests = ROOT / "tests"
    homes = {file.parent.relative_to(tests) for file in tests.rglob("test_*.py")}
    package = SOURCE / "transformers_uniref"
    rooms = {file.parent.relative_to(package) for file in package.rglob("*.py")}
    assert homes - rooms == {Path("examples"), Path("project")} and Path() not in homes
    assert not list((tests / "support").rglob("test_*.py"))


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
