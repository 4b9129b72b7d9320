"""Where things lie, and the environment of the processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
SUPPORT = ROOT / "tests" / "support"
EXAMPLES = ROOT / "examples"
# Real clips and photographs, which the repository does not hold; what needs them skips without.
SHARED_DATA = Path(os.environ.get("UNIREF_SHARED_DATA", ROOT.parent / "shared" / "data"))


def environment(**more: str) -> dict[str, str]:
    """For a process that computes on the CPU in one thread and finds the package and the helpers of the tests."""
    path = os.pathsep.join(map(str, (SOURCE, SUPPORT)))
    return os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | more
