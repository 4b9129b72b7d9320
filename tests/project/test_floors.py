"""A room imports from the floors below it alone; `pyproject.toml` says which floors there are."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, for it configures logging.
from places import ROOT, environment

LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(sys.argv[1], cache_dir=None))"


def test_no_room_imports_from_a_floor_above_it() -> None:
    command = [sys.executable, "-c", LINT, str(ROOT / "pyproject.toml")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
