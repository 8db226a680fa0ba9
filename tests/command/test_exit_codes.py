"""Every documented exit status, with the mpirun of every MPI."""

import concurrent.futures
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from support import launching
from support.faults import UNVERIFIABLE, Fault, Faults
from support.launching import soak
from support.mpis import NAMES, Found, Mpi, there

ENDLESS = ("run", "-n", "1e15", "-i", "10k")
SMALL = ("run", "-n", "100", "-i", "1000", "--seed", "1")

NONE: Mapping[str, Any] = MappingProxyType({})


class Case(NamedTuple):
    status: int
    arguments: tuple[str, ...]
    values: Mapping[str, float] = NONE
    signal: str = ""
    """Signal sent to all ranks 0.2 s after the start of the first round."""
    environment: Mapping[str, str] = NONE


CASES = {
    "verified": Case(0, SMALL),
    "help": Case(0, ("run", "--help")),
    "no kernel": Case(1, (*SMALL, "--kernel", "numba"), environment={"NUMBA_DISABLE_JIT": "1"}),
    "usage": Case(2, ("run", "-n", "0")),
    "refused": Case(2, (*SMALL, "--json", "no/such/folder/j")),
    "nothing to merge": Case(2, ("merge", "no/such/file")),
    "nothing to compare": Case(2, ("bench", "compare", "no/such/file", "nor/such")),
    "not verified": Case(3, SMALL, UNVERIFIABLE),
    "stopped with a checkpoint": Case(75, (*ENDLESS, "--time-limit", "0.5s", "--checkpoint", "{folder}/c")),
    "stopped": Case(124, (*ENDLESS, "--time-limit", "0.5s")),
    "interrupted": Case(130, ENDLESS, signal="SIGINT"),
    "terminated": Case(143, ENDLESS, signal="SIGTERM"),
    "told to stop": Case(138, ENDLESS, signal="SIGUSR1"),
}


def outcome(mpi: Mpi, ranks: int, case: Case, faults: Faults) -> tuple[int, str]:
    """Return the status and the standard error of a job."""
    program = mpi.mpi_pi
    if case.values or case.signal:
        signals = [Fault("before the first round", case.signal, seconds=0.2)] if case.signal else []
        program = faults.program(*signals, values=case.values, python=mpi.python)
    with launching.environment(**case.environment) as environ:
        arguments = [argument.format(folder=environ["TMPDIR"]) for argument in case.arguments]
        run = launching.finish(launching.under_mpirun(ranks, program, *arguments, mpirun=mpi.mpirun), environ)
    return run.returncode, run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_status_is_returned(found: Found, faults: Faults, name: str) -> None:
    """Use four ranks, of which any may be the last to end."""
    mpi = there(found, name)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        running = {name: pool.submit(outcome, mpi, 4, case, faults) for name, case in CASES.items()}
    got = {name: future.result() for name, future in running.items()}
    assert {name: one for name, one in got.items() if one[0] != CASES[name].status} == {}


@soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_every_documented_status_is_returned_twenty_times(found: Found, faults: Faults, name: str) -> None:
    mpi = there(found, name)
    runs = right = 0
    for what, case in CASES.items():
        for ranks in (1, 2, 4):
            got = [outcome(mpi, ranks, case, faults)[0] for _ in range(20)]
            runs += len(got)
            right += got.count(case.status)
            if set(got) != {case.status}:
                print(f"{name}, {what}, {ranks} ranks: {got}")
    print(f"{name}: {right} of {runs} right")
    assert right == runs
