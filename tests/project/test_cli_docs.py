"""The command lines of the documentation are understood, and those of pictures do what the page says."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from cli_support import save_tiny_checkpoint, uniref_arguments
from places import ROOT
from processor_support import disc, picture
from transformers_uniref.core.palette import save_label_map
from transformers_uniref.frontends.cli.main import available_verbs, build_parser, main

PAGE = (ROOT / "docs" / "command_line.md").read_text()


def command_lines(text: str) -> list[str]:
    blocks = re.findall(r"```(?:bash|console)\n(.*?)\n```", text.replace("\\\n", " "), flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if re.match(r"uniref ", line)]


@pytest.mark.parametrize("page", ["README.md", "docs/command_line.md"])
def test_the_command_lines_are_understood(page: str) -> None:
    parser = build_parser(available_verbs())
    lines = command_lines((ROOT / page).read_text())
    assert len(lines) > 10
    for line in lines:
        arguments = uniref_arguments(line.split(" < ")[0])
        assert parser.parse_args(arguments).verb == arguments[0]


def test_the_page_names_every_verb_and_option_of_segment() -> None:
    assert all(f"| `{verb}` |" in PAGE for verb in available_verbs())
    parser = build_parser(["segment"])
    verb = next(action for action in parser._actions if action.dest == "verb").choices["segment"]  # type: ignore[index]
    options = [option for action in verb._actions for option in action.option_strings if option.startswith("--")]
    for option in options:
        assert option == "--help" or option in PAGE, option


def test_the_commands_about_pictures_do_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a small model, and the absolute path leading into the test's folder."""
    save_tiny_checkpoint(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "more/deep", "data"):
        Path(folder).mkdir(parents=True)
    for name in ("photo.jpg", "example.jpg", "photos/1.jpg", "more/deep/2.png", "data/last.png"):
        Image.fromarray(picture(seed=len(name))).save(name)
    save_label_map("example-mask.png", disc())
    section = PAGE.split("## segment")[1].split("## track")[0]
    lines = [line.replace("file:///data", f"file://{tmp_path}/data") for line in command_lines(section)]
    assert len(lines) == 5
    for line in lines:
        command, _, stdin = line.partition(" < ")
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(Path(stdin).read_bytes() if stdin else b"")))
        assert main([*uniref_arguments(command), "--model", "model"]) == 0, line
    assert json.loads(capsys.readouterr().out)["image"] == "-"
    written = {str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file()}
    assert {"photo/mask.png", "photo-2/mask.png", "stdin/overlay.png"} <= written
    assert {"cars/1/mask.png", "cars/2/mask.png", "cars/last/mask.png"} <= written
    assert {"dog-and-ball/objects/2.png", "dog-and-ball/masks.json"} <= written
