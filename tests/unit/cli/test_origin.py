"""What a result of this process tells of its start."""

import calendar
import time

import pytest

from mpi_pi.cli.origin import origin_of


def test_date_is_the_present_time_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        before = int(time.time())
        date = origin_of(["run"]).date
        assert before <= calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ")) <= time.time()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_options_of_keep_running_are_left_out_of_the_command() -> None:
    arguments = ["run", "-n", "5", "-i", "9", "--supervised", "secret", "--resume-state", "long"]
    assert origin_of(arguments).argv == ("mpi-pi", "run", "-n", "5", "-i", "9")
    assert origin_of([]).argv == ("mpi-pi",)


def test_job_is_that_of_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "LSB_BATCH_JID", "FLUX_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert origin_of([])[1:3] == (None, None)
    monkeypatch.setenv("PBS_JOBID", "17.server")
    assert origin_of([])[1:3] == ("PBS", "17.server")
