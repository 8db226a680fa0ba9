"""Text, JSON and CSV of a command, and whether all could be written."""

from pathlib import Path

import pytest

from mpi_pi.cli.output import Output
from mpi_pi.errors import UserError
from mpi_pi.report.blocks import Block, Lines, Table

BLOCKS: list[Block] = [Lines(["text"]), Table([{"host": "a"}])]
TEXT = "text\n\nhost\na\n"
FULL = "mpi-pi: error: argument --{}: '/dev/full': No space left on device\n"


@pytest.mark.parametrize(
    ("json", "csv", "succeeds", "printed", "error"),
    [
        (None, None, True, TEXT, ""),
        ("-", None, True, "{}\n", ""),
        ("-", "table", True, "{}\n", ""),
        ("file", "table", True, TEXT, ""),
        ("/dev/full", "table", False, TEXT, FULL.format("json")),
        ("file", "/dev/full", False, TEXT, FULL.format("csv")),
    ],
)
def test_text_is_printed_even_if_a_file_cannot_be_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    json: str | None,
    csv: str | None,
    succeeds: bool,
    printed: str,
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with Output(json, csv) as output:
        assert output.put(BLOCKS, "{}\n") == succeeds
    assert capsys.readouterr() == (printed, error)
    expected = {"file": "{}\n"} if json == "file" else {}
    expected |= {"table": "host\na\n"} if csv == "table" else {}
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == expected


def test_nothing_is_left_of_a_file_if_the_other_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^argument --csv: '/no/such/folder/t.csv': No such file"):
        Output(str(tmp_path / "o.json"), "/no/such/folder/t.csv")
    assert list(tmp_path.iterdir()) == []
