"""Commands that are run for their output."""

import sys

import pytest

from mpi_pi.system import command
from mpi_pi.system.command import CommandError, telling_line


def test_output_is_that_of_a_command_without_input() -> None:
    program = (
        "import os, sys; print(os.environ['WORD'], repr(sys.stdin.read()), flush=True);"
        " sys.stdout.buffer.write(b'\\xff')"
    )
    assert command.output([sys.executable, "-c", program], 60, {"WORD": "word"}) == "word ''\n\ufffd"


@pytest.mark.parametrize("words", [["false"], ["sleep", "60"], ["/no/such/program"]])
def test_command_that_fails_or_takes_too_long_has_no_output(words: list[str]) -> None:
    assert command.output(words, 0.2) is None
    with pytest.raises(CommandError, match=words[0]):
        command.run(words, 0.2)


def test_status_that_is_not_checked_is_returned() -> None:
    assert command.run(["sh", "-c", "exit 3"], 60, check=False).returncode == 3


def test_most_telling_line_of_an_error_is_found() -> None:
    assert telling_line("error: one\nerror: two\nand more\n-----\n\n", "error:") == "error: two"
    assert telling_line("one\n  two\n-----\n", "error:") == "two"
    assert telling_line("---\n\n", "error:") == ""
    assert telling_line("one\ntwo\n") == "two"
