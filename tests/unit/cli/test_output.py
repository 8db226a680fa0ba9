"""Text and JSON of a command, and whether both could be written."""

from pathlib import Path

import pytest

from mpi_pi.cli.output import Output


@pytest.mark.parametrize(
    ("json", "succeeds", "printed", "error"),
    [
        (None, True, "text\n", ""),
        ("-", True, "{}\n", ""),
        ("file", True, "text\n", ""),
        (
            "/dev/full",
            False,
            "text\n",
            "mpi-pi: error: argument --json: '/dev/full': No space left on device\n",
        ),
    ],
)
def test_text_is_printed_even_if_the_file_cannot_be_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    json: str | None,
    succeeds: bool,
    printed: str,
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with Output(json) as output:
        assert output.put("text\n", "{}\n") == succeeds
    assert capsys.readouterr() == (printed, error)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == (
        [("file", "{}\n")] if json == "file" else []
    )
