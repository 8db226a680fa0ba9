"""Reports on a terminal of 40 columns: nothing is lost, and no line is folded within a word."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_pi.bench import comparison
from mpi_pi.report import plain
from mpi_pi.report import run as run_report
from mpi_pi.report.bench import comparison as comparison_report
from mpi_pi.report.bench import document as bench_report
from mpi_pi.report.blocks import Table
from mpi_pi.storage import result_file
from support import runs
from support.benchmarks import benchmark
from support.launching import MPI_PI, Launch, under_mpirun
from support.runs import flame
from support.terminal import on_a_terminal

COLUMNS = 40
COMMANDS = ("run", "check", "merge", "plot", "report", "check-hosts", "deploy", "bench")
PARTS = ("all", "noise", "kernel", "job", "scaling", "latency", "compare")


def words(text: str) -> list[str]:
    return sorted(text.replace(" = ", " ").split())


def fits(text: str, columns: int) -> None:
    """All lines do, but for those of a single word, or of a cell of a table with its name."""
    for line in text.splitlines():
        assert len(line) <= columns or len(line.split()) == 1 or " = " in line, line


@pytest.mark.parametrize("command", ["", *COMMANDS, *(f"bench {part}" for part in PARTS)])
def test_help_fits_narrow_terminal(launch: Launch, command: str) -> None:
    narrow = launch(0, MPI_PI, *command.split(), "--help", COLUMNS=str(COLUMNS))
    assert narrow.returncode == 0
    for line in narrow.stdout.splitlines():
        assert len(line) <= COLUMNS or len(line.split()) == 1, line
    wide = launch(0, MPI_PI, *command.split(), "--help", COLUMNS="200")
    assert words(narrow.stdout.replace(" \\\n", " ")) == words(wide.stdout)


def test_examples_stay_lines_of_their_own(launch: Launch) -> None:
    wide = launch(0, MPI_PI, "run", "--help", COLUMNS="100").stdout
    assert "\n  mpirun -n 2 mpi-pi run -i 100000 -n 1000\n" in wide
    assert "\nexit status: 0 verified, " in wide


@pytest.mark.parametrize("columns", [1, 20, 40, 79])
def test_reports_lose_nothing(columns: int) -> None:
    document = benchmark()
    other = benchmark(slower=1.5)
    for blocks in (
        run_report.blocks(flame(ranks=4, hosts=2), per_rank=True),
        bench_report.blocks(document),
        comparison_report.blocks(document, other, comparison.changes(document, other)),
    ):
        text, folded = plain.text(blocks), plain.text(blocks, columns)
        assert set(words(text)) <= set(words(folded))
        if columns >= COLUMNS:
            fits(folded, columns)
        assert plain.text(blocks, 80) == text


letters = st.text("abc ", min_size=1, max_size=8).map(lambda text: " ".join(text.split()) or "x")


@given(st.lists(st.tuples(*[letters] * 5), min_size=1, max_size=5))
def test_table_becomes_list(rows: list[tuple[str, ...]]) -> None:
    """Every cell with the name of its column."""
    names = [f"name of {number}" for number in range(5)]
    table = Table([dict(zip(names, row, strict=True)) for row in rows])
    cells = [line.strip().split(" = ") for line in plain.text([table], 40).splitlines()]
    assert cells == [list(pair) for row in rows for pair in zip(names, row, strict=True)]


def on_narrow_terminal(command: list[str], environment: dict[str, str]) -> str:
    return on_a_terminal(command, environment, columns=COLUMNS).replace("\r\n", "\n")


@pytest.mark.parametrize("ranks", [0, 2])
def test_run_on_narrow_terminal(environment: dict[str, str], ranks: int) -> None:
    words = [MPI_PI, "run", "-n", "3k", "-i", "1M", "--seed", "1", "--progress", "on"]
    shown = on_narrow_terminal(under_mpirun(ranks, *words), environment)
    bars = re.findall(r"\r *\d+%\|.*?(?=\r|\n|$)", shown)
    assert bars
    assert all(len(bar.strip("\r")) < COLUMNS for bar in bars)
    report_shown = shown[shown.rindex("pi = 4*(") :].replace("\r", "")
    fits(report_shown, COLUMNS)
    for line in ("Verification = SUCCESSFUL", f"  ranks = {ranks or 1}"):
        assert f"\n{line}\n" in report_shown


def test_json_on_narrow_terminal_is_not_folded(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(result_file.as_json(runs.run(2)))
    shown = on_narrow_terminal([MPI_PI, "merge", str(tmp_path / "1.json"), "--json", "-"], environment)
    assert json.loads(shown)["shard"] == {"index": 1, "of": 1}
    piped = subprocess.run(
        [MPI_PI, "merge", str(tmp_path / "1.json")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search(r"^host +ranks +threads ", piped.stdout, re.MULTILINE)
