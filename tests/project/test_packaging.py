"""What is built to be installed holds all that the package needs, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest

import transformers_uniref
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE = "transformers_uniref"
# Neither environments nor what commands and builds write.
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv*",
    "venv",
    "*.egg-info",
    "__pycache__",
    "build",
    "dist",
    "out",
    "runs",
    "site",
    ".*_cache",
    ".hypothesis",
)
# The first build changes sys.argv.
BUILD = "import sys; to = sys.argv[1]; from setuptools import build_meta as b; b.build_sdist(to); b.build_wheel(to)"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, built from a copy of the repository."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "source", ignore=LEFT_OUT)
    (folder / "dist").mkdir()
    command = [sys.executable, "-c", BUILD, str(folder / "dist")]
    done = subprocess.run(command, cwd=folder / "source", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def files_of_the_package() -> set[str]:
    """Every file under src that is not left over from running it."""
    folder = ROOT / "src" / PACKAGE
    files = (file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return {f"{PACKAGE}/{file.relative_to(folder).as_posix()}" for file in files}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == files_of_the_package()
        weights = f"{PACKAGE}/checkpoints/uniref-pp/model.safetensors"
        assert archive.read(weights) == (ROOT / "src" / weights).read_bytes()
        licences = [name for name in archive.namelist() if ".dist-info/licenses/" in name]
        assert [PurePosixPath(name).name for name in licences] == ["LICENSE"]
    assert f"{PACKAGE}/py.typed" in names
    assert not [name for name in names if re.search(r"^(tests?|benchmarks|examples|docs)/|/tests?/|conftest", name)]
    assert wheel.name.endswith("-py3-none-any.whl") and wheel.stat().st_size < 60_000_000


def test_the_source_distribution_holds_what_its_tests_read(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for file in ("CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "PACKAGE.md", "constraints.txt", ".ci/run"):
        assert file in names
    for folder in ("tests", "docs", "examples", "benchmarks"):
        files = (file for file in (ROOT / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        # Weights on their way are large, and no test reads them.
        read = {file.relative_to(ROOT).as_posix() for file in files if "weights" not in file.parts}
        assert read and read <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_metadata_say_what_is_so(wheel: Path) -> None:
    metadata = metadata_of(wheel)
    assert metadata["Version"] == transformers_uniref.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    least = re.fullmatch(r">=3\.(\d+)", metadata["Requires-Python"])
    assert least is not None
    claimed = re.findall(r"Python :: 3\.(\d+)", "\n".join(metadata.get_all("Classifier", [])))
    assert claimed[0] == least[1] and [int(minor) for minor in claimed] == sorted(int(minor) for minor in claimed)
    assert metadata.get_all("Project-URL")


def test_the_description_has_no_link_that_a_package_index_cannot_follow(wheel: Path) -> None:
    description = metadata_of(wheel).get_payload()
    assert isinstance(description, str) and "pip install" in description
    for target in re.findall(r"\]\(([^)]*)\)|<img[^>]*src=\"([^\"]*)\"", description):
        assert "".join(target).startswith("https://")
    table = set(re.findall(r"^\| `(\w+)` \|", description, flags=re.MULTILINE))
    assert table == set(PROJECT["optional-dependencies"]) - {"test", "dev", "docs", "all"}


FOUR_TASKS = """
import numpy as np
import transformers_uniref
from transformers import pipeline

image = np.zeros((96, 96, 3), np.uint8)
image[20:60, 20:60] = (255, 0, 0)
mask = image[..., 0] > 0
answers = [
    pipeline("referring-segmentation")(image, text="the red square"),
    pipeline("few-shot-segmentation")(image, reference_images=[image], reference_masks=[mask]),
    list(pipeline("video-object-segmentation")([image, image], masks=mask.astype(np.uint8))),
    list(pipeline("referring-video-segmentation")([image, image], text="the red square")),
]
assert all(answers)
print(len(answers), "tasks")
"""


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    """Installs it from the package index with the pinned versions; takes minutes and needs the network."""

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [str(part) for part in command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    run(sys.executable, "-m", "venv", "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    where = run(python, "-c", "import transformers_uniref; print(transformers_uniref.__file__)").stdout
    assert str(tmp_path) in where
    run(python, "-m", "pip", "check")
    (tmp_path / "use.py").write_text(FOUR_TASKS)
    assert run(python, "use.py").stdout.split() == ["4", "tasks"]
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", f"{wheel}[video]")
    run(tmp_path / "venv" / "bin" / "uniref", "demo", "--output", "demo")
    assert list((tmp_path / "demo").rglob("*.png"))


@pytest.mark.slow
def test_twine_has_nothing_to_say(built: Path) -> None:
    pytest.importorskip("twine")
    command = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built.iterdir())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
