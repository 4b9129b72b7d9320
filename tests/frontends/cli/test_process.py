"""`uniref` as a process: signals, pipes that close, full disks, and completion in the shells themselves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from transformers_uniref.frontends.cli.completion import SHELLS, completion_script
from transformers_uniref.frontends.cli.main import available_verbs, main

SLOW_VERB = """
import signal, sys, time
from types import ModuleType
from pathlib import Path
from typing import IO
from transformers_uniref.frontends.cli import main as front_door
from transformers_uniref.core.atomic import filling, replacing

# Tests that a shell started in the background inherit that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

def run(arguments):
    with filling("out", ["a.txt"]) as staged, replacing("single.txt") as partial:
        (staged / "a.txt").write_text("half")
        partial.write_text("half")
        print("ready", file=sys.stderr, flush=True)
        time.sleep(60)

verb = ModuleType("slow")
verb.HELP, verb.EXAMPLES, verb.add_arguments, verb.run = "be slow", (), lambda parser: None, run
front_door.available_verbs = lambda: ["slow"]
front_door._verb_module = lambda name: verb
sys.exit(front_door.main(["slow"]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_leaves_whole_files_only(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW_VERB], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None and process.stderr.readline() == "ready\n"
    assert list(tmp_path.iterdir())
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "uniref: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def uniref(*arguments: str, stdout: IO[str] | int, unbuffered: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "transformers_uniref", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_ends_the_command_without_a_word(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = uniref("data", "list", stdout=writer, unbuffered=unbuffered)
    os.close(writer)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_results_that_cannot_be_written_are_a_failure() -> None:
    with open("/dev/full", "w") as full:
        process = uniref("data", "list", stdout=full)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "uniref: failed: [Errno 28] No space left on device\n")


def test_sigterm_is_put_back_as_it_was() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["data", "list"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before


# ---------------------------------------------------------------------------------------------------------- completion
@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    return {shell: completion_script(shell) for shell in SHELLS}


@pytest.mark.parametrize("shell", SHELLS)
def test_every_verb_is_completed(shell: str, scripts: dict[str, str]) -> None:
    script = scripts[shell]
    assert all(verb in script for verb in available_verbs())
    assert "reference-mask" in script and "bfloat16" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["uniref", "seg"], {"segment"}),
        (["uniref", "segment", "--refer"], {"--reference-image", "--reference-mask"}),
        (["uniref", "segment", "photo.jpg", "--dtype", "bf"], {"bfloat16"}),
        (["uniref", "completion", "f"], {"fish"}),
        (["uniref", "data", "ver"], {"verify"}),
        (["uniref", "segment", "--reference-image", "exa"], {"example.jpg"}),
    ],
)
def test_bash_offers_what_may_follow(
    typed: list[str], offered: set[str], scripts: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "example.jpg").touch()
    words = " ".join(f"'{word}'" for word in typed)
    program = (
        f"{scripts['bash']}\nCOMP_WORDS=({words}); COMP_CWORD={len(typed) - 1}; _shtab_uniref\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert set(done.stdout.split()) == offered, done.stderr


def test_the_script_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    shown = capsys.readouterr()
    assert "complete" in shown.out and shown.err == ""


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["completion", "cmd"])
    assert stop.value.code == 2 and "cmd" in capsys.readouterr().err
