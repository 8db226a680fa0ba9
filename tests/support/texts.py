"""Readers of text that the program prints."""

import re

from mpi_pi.model.result import Result
from mpi_pi.report import plain
from mpi_pi.report import run as run_report


def report_text(result: Result, per_rank: bool = False) -> str:
    """Return the report on a run as plain text."""
    return plain.text(run_report.blocks(result, per_rank))


def values(text: str) -> dict[str, str]:
    """Return the values of the lines `name = value`, by name."""
    return dict(re.findall(r"^([^=\n]+?) = (.+?)\r?$", text, re.MULTILINE))


def reasons_in(text: str) -> list[str]:
    """Return the reasons of an unverified report, which all stand right below the verdict."""
    if "Verification = SUCCESSFUL" in text:
        assert "Reason = " not in text
        return []
    (block,) = re.findall(r"^Verification = UNSUCCESSFUL\n((?:Reason = .+\n)+)", text, re.MULTILINE)
    assert text.count("Reason = ") == block.count("Reason = ")
    return re.findall(r"^Reason = (.+)$", block, re.MULTILINE)


def without_make(output: str) -> list[str]:
    """Return the lines that make itself has not written."""
    return [line for line in output.splitlines() if not re.match(r"make(\[\d+\])?: ", line)]


def words(text: str) -> list[str]:
    """Return the words of a text, sorted; an equals sign is none."""
    return sorted(text.replace(" = ", " ").split())


def fits(text: str, columns: int) -> None:
    """Raise AssertionError for a line that is too long, unless it is one word, or a cell with its name."""
    for line in text.splitlines():
        assert len(line) <= columns or len(line.split()) == 1 or " = " in line, line
