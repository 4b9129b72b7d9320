"""Set before anything is imported: tests reach no network, and parallel workers do not fight for the cores."""

import os

from no_skips import pytest_addoption, pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
