"""A room imports from the floors below it alone; `pyproject.toml` says which floors there are."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_no_room_imports_from_a_floor_above_it(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter.cli import lint_imports

    root = Path(__file__).parent.parent
    monkeypatch.syspath_prepend(str(root / "src"))
    broken = lint_imports(config_filename=str(root / "pyproject.toml"), cache_dir=None)
    assert broken == 0, capsys.readouterr().out
