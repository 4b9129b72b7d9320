"""The front door of the command line: verbs, exit codes, one line for a user's mistake."""

from __future__ import annotations

import argparse
import errno
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch

from cli_support import uniref_arguments
from transformers_uniref import __version__
from transformers_uniref.core.errors import FailureError, KindError, UsageError
from transformers_uniref.core.optional import MissingExtraError
from transformers_uniref.core.palette import label_image
from transformers_uniref.core.push_errors import HubFailureError, PushError
from transformers_uniref.frontends.cli import main as front_door
from transformers_uniref.frontends.errors import UserError, describe, is_failure, is_users_mistake
from transformers_uniref.training.step.faults import NonFiniteError

Run = Callable[[argparse.Namespace], int]


@pytest.fixture
def give_verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Replaces the verbs by one, `try`, that does what the test says."""

    def give(run: Run) -> None:
        verb = ModuleType("try")
        verb.HELP = "try something"  # type: ignore[attr-defined]
        verb.EXAMPLES = ("uniref try --times 2",)  # type: ignore[attr-defined]
        verb.add_arguments = lambda parser: parser.add_argument("--times", type=int, default=1)  # type: ignore[attr-defined]
        verb.run = run  # type: ignore[attr-defined]
        monkeypatch.setattr(front_door, "available_verbs", lambda: ["try"])
        monkeypatch.setattr(front_door, "_verb_module", lambda name: verb)

    return give


def raising(error: BaseException) -> Run:
    def run(arguments: argparse.Namespace) -> int:
        raise error

    return run


def test_every_verb_explains_itself_and_ends_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = front_door.available_verbs()
    assert verbs
    for command in [*([verb] for verb in verbs), ["data", "build"], ["data", "list"], ["data", "verify"]]:
        with pytest.raises(SystemExit) as stop:
            front_door.main([*command, "--help"])
        assert stop.value.code == 0
        shown = capsys.readouterr().out
        named = " ".join(["uniref", *command])
        assert f"usage: {named}" in shown and "--debug" in shown
        assert named in shown.splitlines()[-1] and shown.splitlines()[-1].startswith("  ")
    with pytest.raises(SystemExit):
        front_door.main(["--help"])
    shown = capsys.readouterr().out
    assert all(re.search(rf"^    {verb}\b", shown, re.MULTILINE) for verb in verbs)


def test_every_example_of_the_help_is_a_command_line_that_is_understood() -> None:
    verbs = front_door.available_verbs()
    parser = front_door.build_parser(verbs)
    for verb in verbs:
        examples = front_door._verb_module(verb).EXAMPLES
        assert examples
        for line in examples:
            assert parser.parse_args(uniref_arguments(line)).verb == verb


def test_help_and_version_import_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from transformers_uniref.frontends.cli.main import main\n"
        "try: main([sys.argv[1]])\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'transformers', 'numpy', 'PIL'} & set(sys.modules), sorted(sys.modules)"
    )
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", program, option], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert option == "--help" or done.stdout.split() == ["uniref", __version__]


def test_the_package_can_be_run_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "transformers_uniref", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["uniref", __version__]


def test_a_verb_gets_its_options_and_gives_the_exit_code(give_verb: Callable[[Run], None]) -> None:
    give_verb(lambda arguments: 10 + arguments.times)
    assert front_door.main(["try", "--times", "3"]) == 13


@pytest.mark.parametrize("given", [[], ["unknown"], ["try", "--times", "many"], ["try", "--unknown"]])
def test_a_wrong_command_line_is_a_users_mistake(
    give_verb: Callable[[Run], None], given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    give_verb(lambda arguments: 0)
    with pytest.raises(SystemExit) as stop:
        front_door.main(given)
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == "" and "error: " in shown.err


def test_a_users_mistake_is_one_line_and_exit_code_2(
    give_verb: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def colour_the_labels_wrongly(arguments: argparse.Namespace) -> int:
        label_image(np.full((2, 2), 300))
        return 0

    def open_nothing(arguments: argparse.Namespace) -> int:
        with open("/nowhere/at/all"):
            return 0

    for run, message in (
        (raising(UserError("the mask\n is empty")), "the mask is empty"),
        (raising(MissingExtraError("needs av")), "needs av"),
        (colour_the_labels_wrongly, "`labels` must hold 0..255, got 300..300."),
        (open_nothing, "No such file or directory: /nowhere/at/all"),
    ):
        give_verb(run)
        assert front_door.main(["try"]) == 2
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == ("", f"uniref: error: {message}\n")


def misuse_the_package(arguments: argparse.Namespace) -> int:
    return label_image()  # type: ignore[call-arg]


def misuse_a_library(arguments: argparse.Namespace) -> int:
    np.zeros(3).reshape(2, 2)
    return 0


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (raising(KeyError("gone")), "KeyError"),
        (raising(RuntimeError("bad")), "RuntimeError"),
        (misuse_the_package, "TypeError"),
        (misuse_a_library, "ValueError"),
    ],
)
def test_a_defect_is_one_line_and_shows_its_traceback_when_asked(
    run: Run, kind: str, give_verb: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    give_verb(run)
    assert front_door.main(["try"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"uniref: defect of the program: {kind}: ") and shown.count("\n") == 1
    assert "run with --debug for the traceback" in shown
    for command in (["--debug", "try"], ["try", "--debug"]):
        assert front_door.main(command) == 1
        shown = capsys.readouterr().err
        assert shown.startswith("Traceback (most recent call last):") and "run with --debug" not in shown


def test_a_users_mistake_shows_its_traceback_when_asked(
    give_verb: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    give_verb(raising(UserError("no such thing")))
    assert front_door.main(["try", "--debug"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback") and shown.endswith("uniref: error: no such thing\n")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/mask.png"), "No space left on device: out/mask.png"),
        (ConnectionResetError("the server went away"), "the server went away"),
        (MemoryError(), "out of memory; smaller pictures"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory; smaller pictures"),
    ],
)
def test_what_the_machine_could_not_do_is_one_line_and_exit_code_1(
    error: Exception, message: str, give_verb: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    give_verb(raising(error))
    assert front_door.main(["try"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"uniref: failed: {message}") and shown.count("\n") == 1


def test_a_mistake_a_failure_and_a_defect_are_told_apart_by_their_types() -> None:
    for mistake in (UsageError, KindError, UserError, MissingExtraError, PushError, FileNotFoundError):
        error = mistake("it cannot be used")
        assert is_users_mistake(error) and not is_failure(error), mistake
    for failure in (FailureError, NonFiniteError, HubFailureError, ConnectionResetError, MemoryError):
        error = failure("it went wrong")
        assert is_failure(error) and not is_users_mistake(error), failure
    for defect in (ValueError, TypeError, RuntimeError, NotImplementedError, KeyError, BrokenPipeError):
        error = defect("it went wrong")
        assert not is_failure(error) and not is_users_mistake(error), defect


def test_what_the_library_refuses_stays_the_error_that_python_has_for_it() -> None:
    with pytest.raises(ValueError) as caught:
        label_image(np.full((2, 2), 300))
    assert is_users_mistake(caught.value)
    assert issubclass(KindError, TypeError) and issubclass(FailureError, RuntimeError)


def test_the_words_for_less_memory_are_those_of_the_front_end() -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
    assert describe(error) == "out of memory"
    assert describe(error, {}, "smaller pictures take less") == "out of memory; smaller pictures take less"


def test_an_interruption_has_its_own_exit_code(
    give_verb: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    give_verb(raising(KeyboardInterrupt()))
    assert front_door.main(["try"]) == 130
    assert capsys.readouterr().err == "uniref: interrupted\n"


def test_warnings_are_one_line_on_standard_error(
    give_verb: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(arguments: argparse.Namespace) -> int:
        warnings.warn("the mask was\nresized", stacklevel=1)
        print(json.dumps({"done": True}))
        return 0

    give_verb(warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert front_door.main(["try"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "uniref: warning: the mask was resized\n"
    assert json.loads(shown.out) == {"done": True}


def test_messages_are_one_line() -> None:
    assert describe(ValueError("a\n  b")) == "a b"
    assert describe(ValueError()) == "ValueError"
    assert describe(FileNotFoundError(2, "No such file", "x.png")) == "No such file: x.png"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("segmnt photo.jpg --text cat", "segment"),
        ("TRACK clip.mp4", "track"),
        ("data biuld coco", "build"),
        ("--versoin", "--version"),
        ("segment photo.jpg --txet cat", "--text"),
        ("segment photo.jpg --txet=cat", "--text"),
        ("track clip.mp4 -mask first.png", "--mask"),
        ("push runs/final --licence mit", "--license"),
        ("segment photo.jpg —text cat", "--text"),
        ("segment photo.jpg --text cat --dtype bfloat61", "bfloat16"),
        ("segment photo.jpg --text cat --formats overlay,palete", "palette"),
        ("track clip.mp4 --text cat --formats gfi", "gif"),
        ("train wrld --output out", "world"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_one_that_was_meant(
    line: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = front_door.main(line.split())
    except SystemExit as stop:
        code = int(str(stop.code))
    last = capsys.readouterr().err.splitlines()[-1]
    assert code == 2 and "error: " in last
    assert last.endswith(f"; did you mean {meant}?")


def test_what_resembles_nothing_gets_no_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["quantize"], ["segment", "photo.jpg", "--text", "a cat", "--zoom", "3"]):
        with pytest.raises(SystemExit):
            front_door.main(line)
        assert "did you mean" not in capsys.readouterr().err


def test_words_after_two_hyphens_and_values_are_not_taken_for_mistyped_options() -> None:
    parser = front_door.build_parser(["segment"])
    parsed = parser.parse_args(["segment", "--text", "a — b", "--", "-text.jpg"])
    assert parsed.images == ["-text.jpg"] and parsed.text == ["a — b"]
