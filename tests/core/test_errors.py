"""What errors of other libraries say, in one line, and names that are not known."""

from __future__ import annotations

import pytest

from transformers_uniref.core.errors import one_line
from transformers_uniref.core.near_names import named


def test_an_error_of_another_library_becomes_one_line_that_is_not_too_long() -> None:
    assert one_line(ValueError("bad\n  header:\tabc ")) == "bad header: abc"
    assert one_line(ValueError("word " * 200), most=14) == "word word word"
    assert one_line(ValueError("word " * 200)) == ("word " * 80)[:400]
    assert len(one_line(ValueError("word " * 200), most=None)) == 999


def test_an_error_that_says_nothing_is_called_by_its_type() -> None:
    assert one_line(EOFError()) == "EOFError" and one_line(KeyboardInterrupt(" \n")) == "KeyboardInterrupt"


def test_an_error_of_the_system_names_the_file() -> None:
    assert one_line(FileNotFoundError(2, "No such file or directory", "a.png")) == "No such file or directory: a.png"


def test_a_name_is_found_or_the_names_are_listed_with_the_nearest() -> None:
    known = {"davis-2017": 1, "youtube-vos": 2}
    assert named("benchmark", "davis-2017", known) == 1
    expected = r"^`benchmark` must be one of davis-2017, youtube-vos, got 'davis2017'; did you mean davis-2017\?$"
    with pytest.raises(ValueError, match=expected):
        named("benchmark", "davis2017", known)
