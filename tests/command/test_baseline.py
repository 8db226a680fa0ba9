"""`mpi-pi check --baseline` on this machine."""

import json
import platform
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mpi_pi.cli.parser import parse
from mpi_pi.errors import UserError
from mpi_pi.storage import json_document
from support.launching import MPI_PI, Launch
from support.schemas import CHECK as SCHEMA

CHECK = (MPI_PI, "check")
HOST = platform.node()


def faults_since(document: dict[str, Any]) -> list[str]:
    """Return the faults that a baseline shows: others, such as a busy core, may be there, too."""
    day = f"than on {document['date'][:10]}"
    texts = [found["text"] for found in document["findings"] if found["severity"] == "fault"]
    return [text for text in texts if day in text]


def rewritten(file: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change a document, and give it a right checksum; return its file."""
    document = json.loads(file.read_text())
    change(document)
    changed = file.with_name("changed.json")
    changed.write_text(json_document.dumps(document))
    return changed


def faster(document: dict[str, Any]) -> None:
    for row in document["ranks"]:
        row["points_per_cpu_second"] *= 2.5  # of which a faster moment of the machine leaves less than 0.7


def check_since(launch: Launch, baseline: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """Check two ranks beside a baseline; return the run, and the document, which follows the schema."""
    file = baseline.with_name("now.json")
    run = launch(2, *CHECK, "--baseline", str(baseline), "--json", str(file))
    document = json.loads(file.read_text())
    jsonschema.validate(document, SCHEMA)
    assert run.returncode == (0 if document["fit"] else 1)
    return run, document


def test_check_like_the_baseline_is_no_fault_and_far_below_it_is_one(launch: Launch, tmp_path: Path) -> None:
    """What else the machine does can only make it slower: no fault is asked of one check in three."""
    good = tmp_path / "good.json"
    launch(2, *CHECK, "--json", str(good))
    assert any(faults_since(check_since(launch, good)[1]) == [] for _ in range(3))

    run, document = check_since(launch, rewritten(good, faster))
    assert f"\nBaseline = {json.loads(good.read_text())['date']}, 1 of 1 hosts\n" in run.stdout
    assert re.search(rf"^{re.escape(HOST)} +points/s of CPU time +\d", run.stdout, re.MULTILINE)
    assert run.returncode == 1
    (text,) = faults_since(document)
    assert text.startswith(f"{HOST} (")
    assert "points/s of CPU time): slower than on " in text


def other_host(document: dict[str, Any]) -> None:
    for row in document["hosts"] + document["ranks"]:
        row["host"] = "elsewhere"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other_host, "is of other hosts: elsewhere"),
        (lambda document: document.update(schema=99), "has schema 99 of mpi-pi '"),
        (lambda document: document.update(kind="result"), "not a check, but something else of mpi-pi's"),
    ],
)
def test_baseline_that_is_none_of_these_hosts_is_refused(
    launch: Launch, tmp_path: Path, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    launch(0, *CHECK, "--json", str(tmp_path / "good.json"))
    file = rewritten(tmp_path / "good.json", change)
    refused(launch, file, why, tmp_path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        ("", "empty"),
        ("host points\n", "not written by mpi-pi"),
        ('{"schema": 2, "program": "mpi-pi", "kind": "check"}', "damaged: its checksum is wrong"),
    ],
)
def test_baseline_that_is_no_check_is_refused(
    launch: Launch, tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "it.json"
    if content is not None:
        file.write_text(content)
    refused(launch, file, why, tmp_path)


def refused(launch: Launch, file: Path, why: str, folder: Path) -> None:
    run = launch(2, *CHECK, "--baseline", str(file), "--json", str(folder / "now.json"))
    assert run.returncode == 2
    assert run.stdout == ""
    (line,) = (line for line in run.stderr.splitlines() if "mpi-pi: " in line)
    assert line.startswith(f"mpi-pi: error: argument --baseline: '{file}': {why}")
    assert not (folder / "now.json").exists()


def test_baseline_is_not_overwritten() -> None:
    with pytest.raises(
        UserError, match=r"^argument --json: './a.json': is the baseline, which would be lost$"
    ):
        parse(["check", "--baseline", "a.json", "--json", "./a.json"])


def test_node_is_compared_with_its_baseline(launch: Launch, tmp_path: Path) -> None:
    """The document of a check on ranks and that of a node alone are of one kind; a busy node has no rate."""
    good, now = tmp_path / "good.json", tmp_path / "now.json"
    launch(0, *CHECK, "--node", "--json", str(good))
    fast = rewritten(
        good, lambda document: [row.update(points_per_cpu_second=1e12) for row in document["ranks"]]
    )
    for file, expected in ((good, 0), (fast, 1)):
        run = launch(0, *CHECK, "--node", "--baseline", str(file), "--json", str(now))
        assert ", 1 of 1 hosts\n" in run.stdout
        document = json.loads(now.read_text())
        jsonschema.validate(document, SCHEMA)
        measured = document["hosts"][0]["points_per_cpu_second"] is not None
        assert len(faults_since(document)) == (expected if measured else 0)
        assert run.stdout.splitlines()[-1].startswith("Fit = ")
        assert run.returncode == (0 if document["fit"] else 1)


def test_node_refuses_a_baseline_of_other_hosts(launch: Launch, tmp_path: Path) -> None:
    launch(0, *CHECK, "--json", str(tmp_path / "good.json"))
    file = rewritten(tmp_path / "good.json", other_host)
    run = launch(0, *CHECK, "--node", "--baseline", str(file))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"mpi-pi: error: argument --baseline: '{file}': is of other hosts: elsewhere\n"
