"""Deadlines of runs, at a time that is made up."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from mpi_pi.cli import run_plan
from mpi_pi.system import process, scheduler


@pytest.mark.parametrize(
    ("limit", "left", "seconds"),
    [
        (None, None, math.inf),
        (90.0, None, 83.0),  # from the start of the process on
        ("slurm", None, math.inf),
        ("slurm", 3600.0, 3580.0),
        ("slurm", 30.0, 15.0),  # of a short job half is for the report
    ],
)
def test_deadline_leaves_time_for_the_report(
    monkeypatch: pytest.MonkeyPatch, limit: Any, left: float | None, seconds: float
) -> None:
    monkeypatch.setattr(run_plan, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    monkeypatch.setattr(process, "seconds_since_process_start", lambda: 7.0)
    monkeypatch.setattr(scheduler, "seconds_left", {"slurm": left}.__getitem__)
    options: Any = SimpleNamespace(time_limit=limit)
    assert run_plan._deadline(options) == 1000.0 + seconds
