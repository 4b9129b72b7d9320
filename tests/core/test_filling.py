"""Files and folders are replaced whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from transformers_uniref.core.atomic import filling, replacing


def test_replacing_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file.txt"
    with replacing(target) as partial:
        partial.write_text("first")
    with pytest.raises(RuntimeError), replacing(target) as partial:
        partial.write_text("second")
        raise RuntimeError
    assert target.read_text() == "first" and len(list(target.parent.iterdir())) == 1


def test_filling_a_folder_is_all_or_nothing(tmp_path: Path) -> None:
    target = tmp_path / "results"
    with pytest.raises(RuntimeError), filling(target, ["a.txt"]) as staged:
        (staged / "a.txt").write_text("half")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    for text in ("one", "two"):
        with filling(target, ["a.txt", "masks"], overwrite=text == "two") as staged:
            (staged / "a.txt").write_text(text)
            (staged / "masks").mkdir()
            (staged / "masks" / text).touch()
        (target / "own.txt").touch()
    assert (target / "a.txt").read_text() == "two"
    assert [file.name for file in (target / "masks").iterdir()] == ["two"]
    assert (target / "own.txt").exists() and [entry.name for entry in tmp_path.iterdir()] == ["results"]


def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results" / "masks").mkdir(parents=True)
    (tmp_path / "results" / "masks" / "old").touch()
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "masks" and Path(target).parent.name == "results":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), filling(tmp_path / "results", ["masks"], overwrite=True) as staged:
        (staged / "masks").mkdir()
    assert [file.name for file in (tmp_path / "results" / "masks").iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["results"]


def test_filling_a_folder_refuses_to_overwrite_unasked(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    with pytest.raises(FileExistsError, match="holds masks already"), filling(tmp_path, ["overlay.png", "masks"]):
        pytest.fail("the work must not begin")
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="must be a folder"), filling(tmp_path / "file", []):
        pytest.fail("the work must not begin")
