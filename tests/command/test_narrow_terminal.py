"""Help and report of the command on a terminal of 40 columns."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from mpi_pi.storage import result_file
from support import runs
from support.faults import AT_A_PACE, Faults
from support.launching import MPI_PI, Launch, under_mpirun
from support.terminal import on_a_terminal
from support.texts import fits, words

COLUMNS = 40
COMMANDS = ("run", "check", "merge", "plot", "report", "check-hosts", "deploy", "bench", "examples", "help")
PARTS = ("all", "noise", "kernel", "job", "scaling", "latency", "compare")


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


def on_narrow_terminal(command: list[str], environment: dict[str, str]) -> str:
    return on_a_terminal(command, environment, columns=COLUMNS).replace("\r\n", "\n")


@pytest.mark.parametrize("ranks", [0, 2])
def test_run_on_narrow_terminal(environment: dict[str, str], ranks: int, faults: Faults) -> None:
    words = [faults.program(AT_A_PACE), "run", "-n", "60", "-i", "100k", "--seed", "1", "--progress", "on"]
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
