"""Ranks that are named if MPI_Init or MPI_Finalize takes too long."""

import threading
from collections.abc import Iterable

import pytest

from mpi_pi.mpi import runtime, time_limit


def test_rank_that_is_just_ending_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has given up itself, and the next rank to look does not see it wait any more."""
    looks = iter([{0: 100, 2: 102}, {2: 102}])
    monkeypatch.setattr(time_limit, "_missing", lambda function: next(looks))
    monkeypatch.setattr(time_limit, "TIMEOUT_SECONDS", 0.0)
    monkeypatch.setattr(time_limit, "CONFIRM_SECONDS", 0.0)
    said = []

    def give_up(why: str, missing: Iterable[int]) -> None:
        said.append((why, list(missing)))

    time_limit._watch("MPI_Init", threading.Event(), give_up)
    ((why, missing),) = said
    assert why.endswith("before MPI_Init, with rank 2")
    assert missing == [102]


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
    assert runtime._deadlocks_in_finalize(library) == deadlocks
