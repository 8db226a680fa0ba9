"""A rank that falls silent at any point of a run: the job ends, and names its host.

SIGSTOP stands for a host that hangs: its connections stay open, and nothing comes through them any more.
"""

import concurrent.futures
import os
import re
import subprocess
import time
from typing import NamedTuple

import pytest

from mpi_pi.kernel import reference
from mpi_pi.model.job import Job
from support import launching
from support.faults import POINTS as ALL_POINTS
from support.faults import Fault, Faults, impatience
from support.launching import HANGS, soak
from support.mpis import Found, Mpi, there

JOB = Job(40_000, 1000, 5)
RUN = ("run", "-n", str(JOB.trials), "-i", str(JOB.points), "--seed", str(JOB.seed))
RANKS = 3
PATIENCE_SECONDS = 8.0
"""Silence allowed, instead of 60 s: more than ranks need to start on busy cores."""
LEFT_TO_END_SECONDS = 10.0
"""Time for the end of a job after the silence, which the README gives as 60 s to 70 s."""

POINTS = list(ALL_POINTS)[: list(ALL_POINTS).index("in MPI_Finalize") + 1]
COUNTED = POINTS[POINTS.index("in the last reduce") :]
"""Points of the program by which all points of the job are counted."""

MPIS = ("Open MPI from PyPI", "MPICH from PyPI")


class Case(NamedTuple):
    point: str
    rank: int
    mpi: str


class Outcome(NamedTuple):
    seconds: float
    status: int
    output: str
    errors: str


def run_under(mpi: Mpi, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Return the completed `mpirun ARGUMENTS`, with the status HANGS if it had to be killed."""
    with launching.environment() as environ:
        try:
            return launching.finish([mpi.mpirun, *arguments], environ, timeout)
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(late.cmd, HANGS, late.output, late.stderr)


def outcome(case: Case, mpi: Mpi, faults: Faults, patience: float) -> Outcome:
    values = impatience(every=0.5, patience=patience, step=0.1) if patience else {}
    program = faults.program(Fault(case.point, "SIGSTOP", case.rank), values=values, python=mpi.python)
    start = time.monotonic()
    run = run_under(mpi, "-n", str(RANKS), program, *RUN, timeout=(patience or 60) + 60)
    return Outcome(time.monotonic() - start, run.returncode, run.stdout, run.stderr)


def outcomes(cases: list[Case], found: Found, faults: Faults, patience: float) -> dict[Case, Outcome]:
    """Run several jobs at a time, since they mostly wait."""
    mpis = {case: there(found, case.mpi) for case in cases}
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        running = {case: pool.submit(outcome, case, mpi, faults, patience) for case, mpi in mpis.items()}
        return {case: future.result() for case, future in running.items()}


def judge(case: Case, found: Outcome, seconds: float, hits: int) -> str:
    """Return what is wrong with the end of a job; empty if nothing is."""
    host = re.escape(os.uname().nodename)
    named = rf"mpi-pi: error: host {host} has been silent for {seconds:.0f} s.*, with rank (.+)$"
    ranks = set(re.findall(named, found.errors.replace("\r", ""), re.MULTILINE))
    reported = f"pi = 4*({hits}/{JOB.total_points})" in found.output
    bad = {
        "hangs": found.status == HANGS,
        "status 0": found.status == 0,
        f"named {ranks}": ranks != {str(case.rank)},
        "not reported": case.point in COUNTED and case.rank != 0 and not reported,
    }
    return ", ".join(fault for fault, there in bad.items() if there)


def test_program_that_ends_before_mpi_starts_ends_the_job(found: Found, faults: Faults) -> None:
    """A program whose Python cannot be loaded on its host ends so; MPICH's mpirun takes no notice.

    Open MPI's does, and ends the job, but that of 5.0.11 occasionally waits for ever.
    """
    mpi = there(found, "MPICH from PyPI")
    program = faults.program(values={"mpi.time_limit:patience_seconds": 3.0}, python=mpi.python)
    run = run_under(mpi, "-n", "1", program, *RUN, ":", "-n", "1", "false")
    assert run.returncode not in (0, HANGS)
    assert f"rank 0 on host {os.uname().nodename} has waited for 3 s in MPI_Init: " in run.stderr
    assert "make check-hosts" in run.stderr


@pytest.mark.parametrize("wrong", [0, 1])
def test_one_rank_with_bad_usage_ends_the_job(found: Found, wrong: int) -> None:
    """Test MPICH, whose mpirun has to be told. That of Open MPI 5.0.11 ends, too, except occasionally."""
    mpi = there(found, "MPICH from PyPI")
    right = ("-n", "1", mpi.mpi_pi, *RUN)
    bad = ("-n", "1", mpi.mpi_pi, "run", "-n", "0")
    run = run_under(mpi, *(bad if wrong == 0 else right), ":", *(right if wrong == 0 else bad))
    assert run.returncode == 2
    assert "pi = " not in run.stdout
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("which", MPIS)
def test_signal_while_mpi_starts_ends_the_job(found: Found, faults: Faults, which: str, name: str) -> None:
    """A rank that the signal killed at once would leave the others waiting in MPI_Init."""
    mpi = there(found, which)
    for rank in (0, RANKS - 1):
        program = faults.program(Fault("in the import of MPI", name, rank), python=mpi.python)
        run = run_under(mpi, "-n", str(RANKS), program, *RUN)
        assert run.returncode != 0
        assert "no MPI library" not in run.stderr
        assert "Traceback" not in run.stderr
        assert "pi = " not in run.stdout


@pytest.fixture(scope="module")
def hits() -> int:
    return int(reference.count(JOB, range(JOB.units)).sum())


def test_silent_rank_is_named_wherever_it_is(found: Found, faults: Faults, hits: int) -> None:
    """Test each point of the program once, with ranks and MPIs in turn."""
    cases = [
        Case(point, (0, RANKS - 1)[index % 2], MPIS[(index // 2) % 2]) for index, point in enumerate(POINTS)
    ]
    ended = outcomes(cases, found, faults, PATIENCE_SECONDS)
    bad = {case: fault for case in cases if (fault := judge(case, ended[case], PATIENCE_SECONDS, hits))}
    assert not bad, "\n".join(f"{case}: {fault}\n{ended[case].errors}" for case, fault in bad.items())


@soak
@pytest.mark.timeout(3600)
def test_every_silent_rank_is_named_within_70_seconds(found: Found, faults: Faults, hits: int) -> None:
    cases = [Case(point, rank, mpi) for point in POINTS for rank in (0, 1) for mpi in MPIS]
    ended = outcomes(cases, found, faults, 0)
    for case in cases:
        print(f"{ended[case].seconds:5.1f} s, status {ended[case].status}: {case}")
    bad = {case: fault for case in cases if (fault := judge(case, ended[case], 60.0, hits))}
    assert not bad, "\n".join(f"{case}: {fault}\n{ended[case].errors}" for case, fault in bad.items())
    late = [case for case in cases if ended[case].seconds > 60 + LEFT_TO_END_SECONDS]
    assert not late, late
