"""Readers of text that the program prints."""

import re

from mpi_pi.model.result import Result
from mpi_pi.report import plain
from mpi_pi.report import run as run_report


def report_text(result: Result, per_rank: bool = False) -> str:
    return plain.text(run_report.blocks(result, per_rank))


def values(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([^=\n]+?) = (.+?)\r?$", text, re.MULTILINE))


def reasons_in(text: str) -> list[str]:
    """Of a report; all of them stand right below the verdict."""
    if "Verification = SUCCESSFUL" in text:
        assert "Reason = " not in text
        return []
    (block,) = re.findall(r"^Verification = UNSUCCESSFUL\n((?:Reason = .+\n)+)", text, re.MULTILINE)
    assert text.count("Reason = ") == block.count("Reason = ")
    return re.findall(r"^Reason = (.+)$", block, re.MULTILINE)


def without_make(errors: str) -> list[str]:
    """Return the lines of standard error that make itself has not written."""
    return [line for line in errors.splitlines() if not re.match(r"make(\[\d+\])?: ", line)]
