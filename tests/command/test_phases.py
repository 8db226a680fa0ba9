"""The phases of a run in its report."""

import json
import re
import time

import pytest

from mpi_pi.system import phases
from support.launching import MPI_PI, Launch


@pytest.mark.parametrize("ranks", [0, 2])
def test_phases_of_a_run_add_up_to_its_total(launch: Launch, ranks: int) -> None:
    command = (MPI_PI, "run", "-n", "300", "-i", "10001", "--seed", "6")
    begun = time.monotonic()
    document = json.loads(launch(ranks, *command, "--json", "-").stdout)
    passed = time.monotonic() - begun
    told, total = document["steps"], document["spent"]["real_seconds"]
    assert phases.total(told) == pytest.approx(total, abs=1e-6)
    assert ("launcher" in told) == (ranks > 0)
    tick = 0.01
    assert sum(told.values()) <= passed + tick
    assert document["ranks"][0]["count_seconds"] == told["count"]

    text = launch(ranks, *command).stdout.replace("\r", "")
    rows = dict(re.findall(r"^Rank 0, (.+?) = (\d+\.\d{4}) s", text, re.MULTILINE))
    assert list(rows) == [*phases.PHASES, "sum", "saving"]
    (total,) = re.findall(r"^Total = (\d+\.\d{4}) s", text, re.MULTILINE)
    rounding = 0.5e-4
    assert sum(float(rows[name]) for name in phases.PHASES) == pytest.approx(
        float(rows["sum"]), abs=(len(phases.PHASES) + 1) * rounding
    )
    assert float(rows["sum"]) == pytest.approx(float(total), abs=2.1 * rounding)
    assert len(re.findall(r"^Launcher = \d+\.\d{4} s ", text, re.MULTILINE)) == (ranks > 0)


def test_phase_of_an_invisible_launcher_is_unknown(launch: Launch) -> None:
    """Behind a shell, or on another host, the launcher is not the parent process of a rank."""
    shell = f"{MPI_PI} run -n 300 -i 10001 --seed 6; exit $?"
    text = launch(2, "sh", "-c", shell).stdout.replace("\r", "")
    assert "\nLauncher = unknown (" in text
    assert "\nRank 0, sum = " in text
