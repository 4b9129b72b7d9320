"""`pytest --no-skips`: a test that skips has failed, so that a machine with everything installed runs everything.

What may be missing there all the same is what cannot be installed: files that are not part of the repository, and
kernels for another kind of processor. The reasons of such skips say so in these words.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import pytest

ALLOWED = re.compile(r"beside the repository|the folder (has|does not)|needs a GPU")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="a test that skips fails, unless it needs files that are not in the repository or a GPU",
    )


def _judged(config: pytest.Config, report: Any) -> Any:
    if config.getoption("no_skips") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not ALLOWED.search(reason):
            report.outcome, report.longrepr = "failed", f"skipped under --no-skips: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    return _judged(item.config, (yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    return _judged(collector.config, (yield))
