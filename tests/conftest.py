"""Fixtures of many files, and what is set before anything is imported.

Tests reach no network, and parallel workers do not fight for the cores.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from no_skips import pytest_addoption, pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401
from places import EXAMPLES

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def kept_threads() -> Iterator[None]:
    """Gives back the number of threads that a training run changes."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_thread(kept_threads: None) -> None:
    """Computes in one thread."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny model of random weights, for commands; files that call another one so have their own."""
    from cli_support import save_tiny_checkpoint

    return str(save_tiny_checkpoint(tmp_path_factory.mktemp("model")))


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs the `main` of a script in `examples/`: exit code, all that it says, and what it prints last in JSON."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run(name: str, *arguments: object) -> tuple[int, str, dict[str, Any]]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
        try:
            code = importlib.import_module(name).main()
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        last = out.strip().rpartition("\n")[2]
        return code, out + err, json.loads(last) if last.startswith("{") else {}

    return run
