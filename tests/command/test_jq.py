"""The lines for jq in jobscripts/README.md, run by a real jq and compared with Python's json."""

import csv
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import lacks
from support.launching import MPI_PI, ROOT, Launch

PAGE = (ROOT / "jobscripts" / "README.md").read_text()
LINES: list[str] = re.findall(r"^jq .*$", PAGE, re.MULTILINE)
Document = dict[str, Any]
JOB = ("-n", "300", "-i", "1000", "--seed", "1")


def row(document: Document) -> list[Any]:
    rates = [document["estimate"]["pi"], document["points_per_second"]]
    return [document["date"], document["job_id"], len(document["ranks"]), *rates]


def slowest(document: Document) -> list[Any]:
    rank = min(document["ranks"], key=lambda rank: rank["points_per_second"])
    return [rank["rank"], rank["host"], rank["points_per_second"]]


EXPECTED: dict[str, Callable[[Document, list[Document]], list[list[Any]]]] = {
    ".verified": lambda run, _: [[True]],
    "_per_core'": lambda run, _: [[run["points_per_second"]], [run["points_per_second_per_core"]]],
    ".hosts[] | [": lambda run, _: [
        [host["host"], len(host["ranks"]), host["points"], host["points_per_second"]] for host in run["hosts"]
    ],
    "min_by": lambda run, _: [slowest(run)],
    "core_share": lambda run, _: [[host["host"]] for host in run["hosts"] if host["core_share"] < 0.7],
    ".steps": lambda run, _: [[name, seconds] for name, seconds in run["steps"].items()],
    ".date": lambda run, shards: [row(document) for document in (run, *shards)],
    ".command": lambda run, _: [[run["command"]]],
}
"""What each line gives, as rows, by a part of the line that no other one has."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture
def documents(launch: Launch, folder: Path) -> tuple[Document, list[Document]]:
    """Return the results in the folder: those of a whole job, and of two shards."""
    jobs = {"run": (), "shard1": ("--shard", "1/2"), "shard2": ("--shard", "2/2")}
    for name, shard in jobs.items():
        file = folder / f"{name}.json"
        if not file.exists():
            environ = {"SLURM_JOB_ID": "" if name == "run" else "4711"}
            run = launch(3, MPI_PI, "run", *JOB, *shard, "--json", str(file), **environ)
            assert run.returncode == 0, run.stderr
    run, *shards = (json.loads((folder / f"{name}.json").read_text()) for name in jobs)
    return run, shards


def cells(output: str) -> list[list[Any]]:
    """Return the lines of jq's output as rows, whether JSON, CSV, separated by tabs, or one text."""
    rows: list[list[Any]] = []
    for line in output.splitlines():
        if line.startswith("[") or re.fullmatch(r"true|[-+.\de]+", line, re.IGNORECASE):
            value = json.loads(line)
            rows.append(value if isinstance(value, list) else [value])
        elif "\t" in line:
            rows.append(line.split("\t"))
        else:
            rows += csv.reader([line]) if line.startswith('"') else [[line]]
    return rows


def same(found: Any, expected: Any) -> bool:
    """Return whether a cell has a value; jq writes numbers with 17 digits, and null as nothing."""
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        return float(found) == pytest.approx(expected, rel=1e-12)
    return bool(found == ("" if expected is None else expected))


@pytest.mark.parametrize("part", EXPECTED)
def test_line_for_jq_gives_what_the_document_has(
    documents: tuple[Document, list[Document]], folder: Path, part: str
) -> None:
    lacks.require("jq")
    (line,) = (line for line in LINES if part in line)
    words = ["sh", "-c", line]
    shown = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    found, expected = cells(shown.stdout), EXPECTED[part](*documents)
    assert len(found) == len(expected)
    for own, right in zip(found, expected, strict=True):
        assert len(own) == len(right)
        assert all(map(same, own, right)), (own, right)


def test_every_line_for_jq_is_run() -> None:
    assert [[part for part in EXPECTED if part in line] for line in LINES] == [[part] for part in EXPECTED]
