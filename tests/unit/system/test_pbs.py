"""The variables of a PBS job, and the answers of qstat, from the manual pages of OpenPBS.

qsub(1B) has PBS_ARRAY_INDEX and PBS_JOBID, pbs_job_attributes(7B) the attributes, qstat(1B) their format with
-f: a line `    name = value` for each. Torque's differ in the name of the start time. (There is no PBS that
could be installed for the tests.)
"""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mpi_pi.system import pbs

NOW = time.mktime((2026, 11, 26, 12, 30, 0, 0, 0, -1))

JOB = """\
Job Id: 17.server
    Job_Name = mpi-pi
    Job_Owner = user@client
    resources_used.cput = 00:00:12
    resources_used.walltime = {used}
    job_state = R
    ctime = Thu Nov 26 12:00:00 2026
    {start} = {started}
    Resource_List.ncpus = 4
    Resource_List.walltime = {limit}
    Variable_List = PBS_O_HOME=/home/user,PBS_O_PATH=/usr/local/bin:/usr/bin:/bin,
\tPBS_O_WORKDIR=/home/user/mpi-pi,Resource_List.walltime=1
"""

ARRAY = """\
Job Id: 17[].server
    Job_Name = mpi-pi
    job_state = B
    array = True
    array_state_count = Queued:0 Running:4 Exiting:0 Expired:0
    array_indices_submitted = {numbers}
"""


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file: qstat prints the one named `answer` beside it, and writes its arguments to it."""
    qstat = tmp_path / "qstat"
    qstat.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/said\ncat {tmp_path}/answer\n')
    qstat.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return tmp_path / "said"


def job(used: str = "0", start: str = "stime", ago: float = 0, limit: str = "01:00:00") -> str:
    return JOB.format(used=used, start=start, started=time.ctime(NOW - ago), limit=limit)


@pytest.mark.parametrize(
    ("numbers", "tasks"),
    [("1-4", [1, 2, 3, 4]), ("0-3", [0, 1, 2, 3]), ("10-31:10", [10, 20, 30]), ("5-5", [5])],
)
def test_shard_is_that_of_the_array_task(said: Path, numbers: str, tasks: list[int]) -> None:
    said.with_name("answer").write_text(ARRAY.format(numbers=numbers))
    for k, task in enumerate(tasks, 1):
        environ = {"PBS_ARRAY_INDEX": str(task), "PBS_JOBID": f"17[{task}].server"}
        assert pbs.shard(environ) == (k, len(tasks))
        assert said.read_text() == "-f 17[].server\n"


@pytest.mark.parametrize("numbers", ["", "1-4,7", "1-3"])
def test_array_that_qstat_does_not_tell_is_refused(said: Path, numbers: str) -> None:
    said.with_name("answer").write_text(ARRAY.format(numbers=numbers))
    with pytest.raises(ValueError, match="array"):
        pbs.shard({"PBS_ARRAY_INDEX": "4", "PBS_JOBID": "17[4].server"})


def test_shard_without_array_is_an_error() -> None:
    for environ in ({}, {"PBS_JOBID": "17.server"}, {"PBS_JOBID": "17.server", "PBS_ARRAYID": "1"}):
        with pytest.raises(ValueError, match="no task of a job array"):
            pbs.shard(environ)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (job(used="00:20:00", ago=100), 40 * 60),  # it was started anew
        (job(used="00:20:00", ago=30 * 60), 30 * 60),  # 20 minutes is what the server knows so far
        (job(start="start_time", ago=30 * 60), 30 * 60),
        (job(limit="168:00:00"), 7 * 24 * 3600),
        (job(limit="7:00:00:00"), 7 * 24 * 3600),
        (job(limit="90"), 90),
        (job().replace("Resource_List.walltime =", "Resource_List.other ="), None),
    ],
)
def test_remaining_time_is_the_limit_less_what_was_used(
    said: Path, monkeypatch: pytest.MonkeyPatch, answer: str, seconds: float | None
) -> None:
    clock = SimpleNamespace(time=lambda: NOW, mktime=time.mktime, strptime=time.strptime)
    monkeypatch.setattr(pbs, "time", clock)
    said.with_name("answer").write_text(answer)
    assert pbs.seconds_left({"PBS_JOBID": "17[3].server"}) == seconds
    assert said.read_text() == "-f 17[3].server\n"


def test_qstat_without_an_answer_is_an_error(said: Path) -> None:
    said.with_name("answer").write_text(job(limit="soon"))
    with pytest.raises(ValueError, match=r"qstat does not tell how long the job may still run: .*soon"):
        pbs.seconds_left({"PBS_JOBID": "17.server"})
    with pytest.raises(ValueError, match="this is no PBS job: PBS_JOBID is not set"):
        pbs.seconds_left({})
