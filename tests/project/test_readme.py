"""What a newcomer copies out of the README works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av")
from places import ROOT

BLOCKS = re.findall(r"^```python\n(.+?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)


def pasted(block: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What an interactive interpreter makes of it: there a block that is indented ends with an empty line."""
    environment = {**os.environ, "PYTHONSTARTUP": "", "PYTHON_BASIC_REPL": "1"}
    command = [sys.executable, "-i", "-q"]
    return subprocess.run(command, input=block, capture_output=True, text=True, cwd=folder, env=environment)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_the_readme_runs_when_it_is_pasted_into_a_fresh_interpreter(number: int, tmp_path: Path) -> None:
    """In a folder with what a clone has of it, and nothing that a block before has left."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    done = pasted(BLOCKS[number], tmp_path)
    assert "Error" not in done.stderr and done.returncode == 0, done.stderr
    assert "score" in done.stdout or re.search(r"0\.\d+", done.stdout)
    assert [path.name for path in tmp_path.iterdir()] == ["src"]


def test_the_readme_has_the_blocks_and_a_broken_paste_is_noticed(tmp_path: Path) -> None:
    assert len(BLOCKS) == 2
    assert "SyntaxError" in pasted("for i in (1, 2):\n    i\nprint(i)\n", tmp_path).stderr
    assert "NameError" in pasted("print(image)\n", tmp_path).stderr
