"""Ranks that are named if MPI_Init or MPI_Finalize takes too long."""

import threading
from collections.abc import Iterable

import pytest

from mpi_pi.mpi import runtime, time_limit
from mpi_pi.system import process

NO_PROCESS = 1 << 22
"""Linux gives process ids below this one: nobody waits in MPI_Init there."""


def test_rank_that_is_just_ending_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has given up itself, and when its host is looked at again it is there no more."""
    there = iter([{0: NO_PROCESS, 2: NO_PROCESS + 2}, {2: NO_PROCESS + 2}])
    monkeypatch.setattr(process, "ranks_on_host", lambda: next(there))
    monkeypatch.setattr(time_limit, "patience_seconds", 0.0)
    monkeypatch.setattr(time_limit, "CONFIRM_SECONDS", 0.0)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    said, given_up = [], threading.Event()

    def give_up(why: str, missing: Iterable[int]) -> None:
        said.append((why, list(missing)))
        given_up.set()

    monkeypatch.setattr(time_limit, "give_up", give_up)
    with time_limit.limited("MPI_Init"):
        assert given_up.wait(30)
    ((why, missing),) = said
    assert why.endswith("before MPI_Init, with rank 2")
    assert missing == [NO_PROCESS + 2]


@pytest.mark.parametrize(
    ("library", "deadlocks"),
    [
        ("MPICH Version:      4.0.2\nMPICH Device:       ch4:ucx\n", True),
        ("MPICH Version:\t4.1\nMPICH Device:\tch4:ucx\n", True),
        ("MPICH Version:      4.0.2\nMPICH Device:       ch4:ofi\n", False),
        ("MPICH Version:      4.2.0\nMPICH Device:       ch4:ucx\n", False),
        ("MPICH Version:      5.0.2\nMPICH Device:       ch4:ucx\n", False),
        ("Open MPI v4.0.3, package: Debian OpenMPI, ident: 4.0.3", False),
    ],
)
def test_libraries_that_deadlock_in_finalize_are_known(library: str, deadlocks: bool) -> None:
    """Those with a device of UCX from before the change of MPICH's pull request 6596, which is in 4.2."""
    assert runtime.deadlocks_in_finalize(library) == deadlocks
